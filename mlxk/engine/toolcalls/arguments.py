"""Arguments as their JSON schema wants them: "5" becomes 5 where an integer is asked for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlxk.chat.types import Tool
from mlxk.contract.encoding import dumps
from mlxk.engine.toolcalls.readers import Call
from mlxk.engine.toolcalls.values import value_of

Schema = Mapping[str, Any]


def arguments_text(call: Call, tools: Sequence[Tool]) -> str:
    """The arguments as JSON text; what is not JSON is passed on as it was written."""
    if isinstance(call.arguments, str):
        return call.arguments
    schema = next((tool.parameters for tool in tools if tool.name == call.name), {})
    return dumps(fitted(call.arguments, schema)).decode()


def fitted(value: Any, schema: Schema) -> Any:
    """`value` with strings turned into what `schema` asks for, where they can be."""
    return _fitted(value, _inner([schema], schema), schema)


def _fitted(value: Any, ways: Sequence[Schema], root: Schema) -> Any:
    match value:
        case dict():
            return {k: _fitted(v, _inner(_property(k, ways), root), root) for k, v in value.items()}
        case list():
            places = enumerate(value)
            return [_fitted(v, _inner(_item(at, ways), root), root) for at, v in places]
        case str():
            read = _from_text(value, frozenset(name for way in ways for name in _types(way)))
            return read if isinstance(read, str) else _fitted(read, ways, root)
        case _:
            return value


def _ways(schema: Any, root: Schema, seen: set[int]) -> Iterator[Schema]:
    """The schema and all that it is made of, or may be; it may refer to itself."""
    if not isinstance(schema, dict) or id(schema) in seen:
        return
    seen.add(id(schema))
    yield schema
    for name in ("anyOf", "oneOf", "allOf"):
        choices = schema.get(name)
        for choice in choices if isinstance(choices, list) else ():
            yield from _ways(choice, root, seen)
    if isinstance(reference := schema.get("$ref"), str):
        yield from _ways(_referred(reference, root), root, seen)


def _referred(reference: str, root: Schema) -> Any:
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _inner(schemas: Iterable[Any], root: Schema) -> list[Schema]:
    seen = set[int]()
    return [way for schema in schemas for way in _ways(schema, root, seen)]


def _property(key: str, ways: Sequence[Schema]) -> list[Any]:
    named = [way["properties"] for way in ways if isinstance(way.get("properties"), dict)]
    known = [properties[key] for properties in named if key in properties]
    return known or [way.get("additionalProperties") for way in ways]


def _item(place: int, ways: Sequence[Schema]) -> list[Any]:
    first = [way["prefixItems"] for way in ways if isinstance(way.get("prefixItems"), list)]
    return [items[place] for items in first if place < len(items)] or [w.get("items") for w in ways]


def _from_text(text: str, wanted: frozenset[str]) -> Any:
    if not wanted or "string" in wanted:
        return text
    value = value_of(text)
    if value is None and text.strip() not in ("null", "None"):
        return text
    return value if wanted & _names(value) else text


def _types(schema: Schema) -> Iterable[str]:
    """By name, or as its values show."""
    match schema:
        case {"type": str(name)}:
            return (name,)
        case {"type": list(names)}:
            return [name for name in names if isinstance(name, str)]
        case {"enum": list(values)}:
            return [name for value in values for name in _names(value)]
        case {"const": value}:
            return _names(value)
        case _:
            return ()


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
        case str():
            return frozenset(("string",))
        case list():
            return frozenset(("array",))
        case _:
            return frozenset(("object",))
