"""Which marks a model puts around its thoughts and its tool calls, seen in its template."""

from mlxk.chat.types import Request
from mlxk.engine.answer import Markup
from mlxk.engine.prompt import offered
from mlxk.engine.tokenizer import TextModel
from mlxk.engine.toolcalls.dialects import choose

THOUGHTS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<longcat_think>", "</longcat_think>"),
)


def markup(text: TextModel, request: Request) -> Markup:
    """Calls are looked for only where tools were offered: elsewhere the marks are plain text."""
    source = text.template.source if text.template else None
    return Markup(_thoughts(text, source), choose(source) if offered(request) else None)


def is_thinking(marks: Markup, prompt: str) -> bool:
    """Some templates end the prompt inside a thought."""
    return marks.think is not None and prompt.rstrip().endswith(marks.think[0])


def hidden(text: TextModel, marks: Markup) -> tuple[int, ...]:
    """Special tokens that are no mark of ours, and so are not part of the text."""
    wanted = list(marks.think or ())
    if marks.dialect:
        wanted += [marks.dialect.start, marks.dialect.end]
    return tuple(i for i, name in text.special.items() if not any(name in mark for mark in wanted))


def _thoughts(text: TextModel, source: str | None) -> tuple[str, str] | None:
    for opener, closer in THOUGHTS:
        if (source and opener in source) or text.tokenizer.token_to_id(opener) is not None:
            return opener, closer
    return None
