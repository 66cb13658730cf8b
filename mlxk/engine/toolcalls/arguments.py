"""Arguments as their JSON schema wants them: "5" becomes 5 where an integer is asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from mlxk.chat.types import Tool
from mlxk.engine.toolcalls.readers import Call


def arguments_text(call: Call, tools: Sequence[Tool]) -> str:
    """The arguments as JSON text; what is not JSON is passed on as it was written."""
    if isinstance(call.arguments, str):
        return call.arguments
    schema = next((tool.parameters for tool in tools if tool.name == call.name), {})
    return orjson.dumps(fitted(call.arguments, schema)).decode()


def fitted(value: Any, schema: Mapping[str, Any]) -> Any:
    """`value` with strings turned into what `schema` asks for, where they can be."""
    match value:
        case dict():
            properties = schema.get("properties") or {}
            return {k: fitted(v, _schema(properties.get(k))) for k, v in value.items()}
        case list():
            items = _schema(schema.get("items"))
            return [fitted(item, items) for item in value]
        case str():
            return _from_text(value, _types(schema))
        case _:
            return value


def _from_text(text: str, wanted: frozenset[str]) -> Any:
    if not wanted or "string" in wanted:
        return text
    try:
        value = orjson.loads(_PYTHON.get(text.strip(), text.strip()))
    except orjson.JSONDecodeError:
        return text
    return value if wanted & _names(value) else text


# Models that write values outside of JSON write Python's words for them.
_PYTHON = {"True": "true", "False": "false", "None": "null"}


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    kind = schema.get("type")
    if isinstance(kind, str):
        return frozenset((kind,))
    if isinstance(kind, list):
        return frozenset(kind)
    choices = schema.get("anyOf") or schema.get("oneOf") or ()
    return frozenset(name for choice in choices for name in _types(_schema(choice)))


def _names(value: Any) -> frozenset[str]:
    match value:
        case bool():
            return frozenset(("boolean",))
        case int():
            return frozenset(("integer", "number"))
        case float():
            return frozenset(("number", "integer") if value.is_integer() else ("number",))
        case None:
            return frozenset(("null",))
        case list():
            return frozenset(("array",))
        case _:
            return frozenset(("object",))


def _schema(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
