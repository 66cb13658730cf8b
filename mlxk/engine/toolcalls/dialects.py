"""How model families write a tool call: markers around it, and a reader of what stands between."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it was written; `arguments` is a JSON value, or text where it was not JSON."""

    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class Dialect:
    """`clue` in a chat template says that a model was taught this one.

    `read` takes a whole body; `peek` sees the name in the beginning of one, when it is complete.
    `frame` is what stands before the name, between it and JSON arguments, and after those;
    None where arguments are not JSON.
    """

    name: str
    clue: str
    start: str
    end: str
    read: Callable[[str], tuple[Call, ...]]
    peek: Callable[[str], str | None]
    frame: tuple[str, str, str] | None = None


def choose(template: str | None) -> Dialect:
    """The first dialect whose clue the template holds; Hermes JSON is what most others know."""
    for dialect in DIALECTS:
        if template and dialect.clue in template:
            return dialect
    return HERMES


def _read_hermes(body: str) -> tuple[Call, ...]:
    """`{"name": ..., "arguments": {...}}`, or a list of them."""
    value = _json(body)
    if isinstance(value, list):
        return tuple(call for item in value for call in _from_object(item))
    if calls := tuple(_from_object(value)):
        return calls
    return _from_broken(body)


def _from_object(value: Any) -> Iterable[Call]:
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if isinstance(value, dict) and isinstance(name := value.get("name"), str):
        arguments = value.get("arguments", value.get("parameters", {}))
        inner = _json(arguments) if isinstance(arguments, str) else arguments
        yield Call(name, arguments if inner is None else inner)


_NAME = re.compile(r'"name"\s*:\s*"([^"\\]+)"')
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"\s*:\s*')


def _from_broken(body: str) -> tuple[Call, ...]:
    """Not JSON: the name if one can be seen, and the rest as text for the agent to answer."""
    if (name := _NAME.search(body)) is None:
        return ()
    start = _ARGUMENTS.search(body)
    text = body[start.end() :] if start else ""
    return (Call(name[1], text.strip()),)


_FUNCTION = re.compile(r"<function=([^>\n]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>(.*?)(?:</parameter>|(?=<parameter=)|\Z)", re.DOTALL)


def _read_function_tags(body: str) -> tuple[Call, ...]:
    """`<function=NAME><parameter=KEY>VALUE</parameter></function>`; values are text for now."""
    found = _FUNCTION.findall(body)
    if not found:
        return _read_hermes(body)
    return tuple(
        Call(
            name.strip(),
            {key.strip(): _unpadded(value) for key, value in _PARAMETER.findall(inner)},
        )
        for name, inner in found
    )


def _unpadded(value: str) -> str:
    """One newline after the opening tag and one before the closing belong to the format."""
    return value.removeprefix("\n").removesuffix("\n")


def _peeker(pattern: str) -> Callable[[str], str | None]:
    compiled = re.compile(pattern)

    def peek(body: str) -> str | None:
        found = compiled.match(body)
        return found[1].strip() if found else None

    return peek


def _json(text: str) -> Any:
    try:
        return orjson.loads(text.strip())
    except orjson.JSONDecodeError:
        return None


_PEEK_HERMES = _peeker(r'\s*\{\s*"name"\s*:\s*"([^"\\]+)"')
_PEEK_FUNCTION = _peeker(r"\s*<function=([^>\n]+)>")

HERMES = Dialect(
    "hermes",
    "<tool_call>",
    "<tool_call>",
    "</tool_call>",
    _read_hermes,
    _PEEK_HERMES,
    ('\n{"name": "', '", "arguments": ', "}\n"),
)
DIALECTS = (
    Dialect(
        "function_tags",
        "<function=",
        "<tool_call>",
        "</tool_call>",
        _read_function_tags,
        _PEEK_FUNCTION,
    ),
    HERMES,
)
