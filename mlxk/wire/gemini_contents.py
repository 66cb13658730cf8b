"""Contents and parts as Gemini writes them, both directions."""

import re
from collections.abc import Iterator, Sequence
from itertools import count, takewhile
from typing import Any

from mlxk.chat.types import Image, Message, Part, Text, Thinking, ToolResult, ToolUse
from mlxk.contract import encoding
from mlxk.contract.errors import InvalidValue
from mlxk.wire.reading import arguments_of, unsupported_part

# What stands under these names belongs to tools and schemas: its names are not the API's.
_OPAQUE = {
    "args",
    "response",
    "parameters",
    "parametersJsonSchema",
    "responseSchema",
    "responseJsonSchema",
}
_UNSIGNED = "skip_thought_signature_validator"
_COUNTS = {f"{end}{what}" for end in ("min", "max") for what in ("Items", "Length", "Properties")}
_TYPES = {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"}


def camel(value: Any) -> Any:
    """The API takes `system_instruction` for `systemInstruction`, as all of Google's do."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {re.sub(r"_([a-z])", lambda m: m[1].upper(), key): v for key, v in value.items()}
    return {key: v if key in _OPAQUE else camel(v) for key, v in named.items()}


def plain_schema(schema: Any) -> Any:
    """JSON Schema from Google's dialect: types in capitals, `nullable`, an order beside the
    properties instead of theirs."""
    if isinstance(schema, list):
        return [plain_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(key, value) for key, value in schema.items()}
    kind = plain.get("type")
    if isinstance(kind, str) and kind in _TYPES:
        plain["type"] = kind.lower()
    if plain.pop("nullable", None) is True and isinstance(kind, str):
        plain["type"] = [plain["type"], "null"]
    named, order = plain.get("properties"), plain.pop("propertyOrdering", None)
    if isinstance(named, dict) and isinstance(order, list):
        plain["properties"] = {name: named[name] for name in order if name in named} | named
    return plain


def _plain(key: str, value: Any) -> Any:
    """Below `properties` stand names of the user's own, below `enum` and its like values. Google
    writes its counts, which have 64 bits, as texts."""
    if key in _COUNTS and isinstance(value, str) and value.isdecimal():
        return int(value)
    if key in ("enum", "const", "default", "example"):
        return value
    if key in ("properties", "patternProperties", "$defs", "definitions") and isinstance(
        value, dict
    ):
        return {name: plain_schema(schema) for name, schema in value.items()}
    return plain_schema(value)


def decode_system(content: Any) -> Iterator[Message]:
    parts = [{"text": content}] if isinstance(content, str) else (content or {}).get("parts") or ()
    texts = tuple(_part(part, f"/systemInstruction/parts/{i}") for i, part in enumerate(parts))
    if texts:
        yield Message("system", texts)


def decode_contents(contents: Any) -> Iterator[Message]:
    """Calls without an id get one by their place; results without one take them by name."""
    numbers = count()
    waiting: list[ToolUse] = []
    for i, content in enumerate(contents):
        parts: list[Part] = []
        results: list[Part] = []
        for j, wire in enumerate(content.get("parts") or ()):
            if (response := wire.get("functionResponse")) is not None:
                results.append(_result(response, waiting))
                continue
            part = _part(wire, f"/contents/{i}/parts/{j}", numbers)
            parts.append(part)
            if isinstance(part, ToolUse):
                waiting.append(part)
        if results:
            yield Message("tool", tuple(results))
        if parts or not results:
            role = "assistant" if content.get("role") == "model" else "user"
            yield Message("assistant" if role == "assistant" else "user", tuple(parts))


def decode_parts(parts: Any, numbers: Iterator[int]) -> tuple[Part, ...]:
    """The parts of an answer; `numbers` make ids for calls that have none."""
    return tuple(_part(part, f"/parts/{i}", numbers) for i, part in enumerate(parts))


def encode_contents(messages: Sequence[Message]) -> tuple[dict[str, Any] | None, list[Any]]:
    """The system instruction and the turns; a later system message is told to the user turn."""
    leading = list(takewhile(lambda m: m.role == "system", messages))
    system = [part for message in leading for part in encode_parts(message.parts)]
    names = {use.id: use.name for message in messages for use in message.tool_uses}
    contents = [
        {
            "role": "model" if message.role == "assistant" else "user",
            "parts": [_signed(part) for part in encode_parts(message.parts, names)],
        }
        for message in messages[len(leading) :]
    ]
    return {"parts": system} if system else None, contents


def _signed(part: dict[str, Any]) -> dict[str, Any]:
    """Newer models refuse a call in a history that nobody signed, unless it says so."""
    return part | {"thoughtSignature": _UNSIGNED} if "functionCall" in part else part


def encode_parts(
    parts: Sequence[Part], names: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    return [_part_out(part, names or {}) for part in parts]


def _part(part: dict[str, Any], at: str, numbers: Iterator[int] | None = None) -> Part:
    match part:
        case {"functionCall": {"name": str(name)} as call}:
            id = call.get("id") or f"call_{next(numbers or count())}"
            return ToolUse(id, name, encoding.dumps(call.get("args") or {}).decode())
        case {"text": str(text), "thought": True}:
            return Thinking(text, part.get("thoughtSignature"))
        case {"text": str(text)}:
            return Text(text)
        case {"inlineData": {"data": str(data)} as inline}:
            return Image(inline.get("mimeType"), data)
        case {"fileData": {"fileUri": str(uri)} as file}:
            return Image(file.get("mimeType"), url=uri)
        case _:
            raise unsupported_part(", ".join(sorted(part)) or "nothing", at)


def _result(response: dict[str, Any], waiting: list[ToolUse]) -> ToolResult:
    name = response.get("name") or ""
    answered = next((use for use in waiting if use.id == response.get("id")), None)
    answered = answered or next((use for use in waiting if use.name == name), None)
    if answered is not None:
        waiting.remove(answered)
    id = response.get("id") or (answered.id if answered else "")
    # What stands beside a result or an error is a part of what the tool said.
    match response.get("response"):
        case {"error": error, **more} if not more:
            return ToolResult(id, _text(error), is_error=True, name=name)
        case {"output": told, **more} | {"result": told, **more} if not more:
            return ToolResult(id, _text(told), name=name)
        case told:
            return ToolResult(id, _text(told), name=name)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else encoding.dumps(value).decode()


def _part_out(part: Part, names: dict[str, str]) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"text": text}
        case Thinking(text, signature):
            signed = {"thoughtSignature": signature} if signature else {}
            return {"text": text, "thought": True, **signed}
        case ToolUse(id, name, arguments):
            return {"functionCall": {"id": id, "name": name, "args": arguments_of(arguments)}}
        case ToolResult(id, text, is_error, name):
            told = {"error" if is_error else "output": text}
            known = name or names.get(id, "")
            return {"functionResponse": {"id": id, "name": known, "response": told}}
        case Image(media_type, _, url) if url is not None:
            return {"fileData": {"mimeType": media_type, "fileUri": url}}
        case Image(media_type, data):
            return {"inlineData": {"mimeType": media_type, "data": data}}
    raise InvalidValue(f"a message holds no {type(part).__name__}")
