"""A model's chat template: Jinja in a sandbox, with the names that templates expect. No tokens."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import orjson
from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mlxk.contract.errors import InvalidValue, ModelUnhealthy

# What templates raise where messages are not as they expect them.
_REFUSALS = (
    *(TemplateError, ArithmeticError, AttributeError, LookupError),
    *(RecursionError, TypeError, ValueError),
)


class ChatTemplate:
    """One template and the special tokens it may name (`bos_token`, `eos_token`, ...).

    Some models have a second one `for_tools`.
    """

    def __init__(
        self, source: str, tokens: Mapping[str, str], for_tools: str | None = None
    ) -> None:
        self.source = source + (for_tools or "")
        self._tokens = dict(tokens)
        self._template = _parsed(source)
        self._for_tools = self._template if for_tools is None else _parsed(for_tools)

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> str:
        """The prompt up to where the assistant begins. Refused when the template says no."""
        ours = {"messages": list(messages), "tools": list(tools) or None}
        template = self._for_tools if tools else self._template
        try:
            return template.render(
                {**options, **self._tokens, **ours, "add_generation_prompt": True}
            )
        except _REFUSALS as e:
            message = f"the model's chat template refuses these messages: {e}"
            raise InvalidValue(message, field="messages") from e


def _parsed(source: str) -> Template:
    try:
        return _environment().from_string(source)
    except TemplateError as e:
        raise ModelUnhealthy(f"the chat template does not parse: {e}") from e


def _environment() -> ImmutableSandboxedEnvironment:
    """As transformers sets it up: templates are written against these settings."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _now
    return environment


class _Generation(Extension):
    """`{% generation %}` marks the assistant's text for training; here it is only its content."""

    tags = {"generation"}  # noqa: RUF012 -- Jinja declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own filter escapes HTML; models were trained on `json.dumps` with its spaces."""
    import json  # noqa: PLC0415 -- only templates with tools need it

    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise(message: str) -> None:
    raise TemplateError(message)


def _now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


def arguments_of(text: str) -> Any:
    """A call's arguments as a value where they are JSON; templates index into them."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
