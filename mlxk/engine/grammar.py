"""What a request allows its answer to be, as a grammar: formats, and calls that must be made.

Written where requests are text; the engine process follows it token by token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llguidance import LLMatcher

from mlxk.chat.types import Request, ResponseFormat
from mlxk.contract.errors import InvalidValue
from mlxk.engine import forced
from mlxk.engine.answer import Markup
from mlxk.engine.prompt import offered
from mlxk.engine.tokenizer import TextModel


@dataclass(frozen=True, slots=True)
class Grammar:
    """llguidance's notation; it rules after the tokens `after`, at once when there are none."""

    text: str
    after: tuple[int, ...] = ()


def grammar(
    request: Request, marks: Markup, text: TextModel, *, is_thinking: bool
) -> Grammar | None:
    """None when anything may be said. A grammar that cannot be followed is refused here."""
    written = _calls(request, marks, text) or _format(request.response_format)
    if written is None:
        return None
    if problem := LLMatcher.validate_grammar(written):
        raise InvalidValue(
            f"the answer's format cannot be followed: {problem}", field=_field(request)
        )
    closer = marks.think[1] if marks.think and is_thinking else None
    return Grammar(written, tuple(text.encode(closer)) if closer else ())


def _format(wanted: ResponseFormat) -> str | None:
    match wanted.kind:
        case "json_object":
            return _json({"type": "object"})
        case "json_schema":
            return _json(wanted.schema or {})
        case "regex":
            return str(LLMatcher.grammar_from_regex(wanted.pattern or ""))
        case _:
            return None


def _json(schema: Mapping[str, Any]) -> str:
    try:
        return str(LLMatcher.grammar_from_json_schema(dict(schema), overrides=forced.JSON))
    except ValueError as e:
        raise InvalidValue(f"the schema is not usable: {e}", field="response_format") from e


def _calls(request: Request, marks: Markup, text: TextModel) -> str | None:
    """One call or more, of a tool that was offered, with arguments by its schema."""
    if request.tool_choice.mode not in ("required", "named"):
        return None
    tools = offered(request)
    if not tools or marks.dialect is None:
        raise InvalidValue("tool_choice asks for a tool that is not offered", field="tool_choice")
    if marks.dialect.frame is None:
        return None
    decoder = text.tokenizer.get_added_tokens_decoder()
    added = {token.content: i for i, token in decoder.items()}
    return str(LLMatcher.grammar_from_lark(forced.calls(tools, marks.dialect.frame, added)))


def _field(request: Request) -> str:
    return "tools" if request.tool_choice.mode in ("required", "named") else "response_format"
