"""Messages as OpenAI's chat format writes them, both directions."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlxk.chat.types import Image, Message, Part, Text, Thinking, ToolResult, ToolUse
from mlxk.contract.encoding import dumps
from mlxk.contract.errors import InvalidValue
from mlxk.wire.reading import image, image_url, unreadable, unsupported_part


def decode_message(m: dict[str, Any], at: str) -> Message:
    content = tuple(decode_content(m.get("content"), f"{at}/content"))
    match m["role"]:
        case "assistant":
            return Message("assistant", (*_thoughts(m), *content, *_refusal(m), *_calls(m)))
        case "tool":
            text = "".join(p.text if isinstance(p, Text) else unreadable("image") for p in content)
            result = ToolResult(m.get("tool_call_id") or "", text, name=m.get("name"))
            return Message("tool", (result,))
        case "user":
            return Message("user", content)
        case _:
            return Message("system", content)


def encode_message(message: Message) -> Iterator[dict[str, Any]]:
    match message.role:
        case "tool":
            for part in message.parts:
                if isinstance(part, ToolResult):
                    yield {"role": "tool", "tool_call_id": part.tool_use_id, "content": part.text}
        case "assistant":
            yield encode_assistant(message)
        case role:
            yield {"role": role, "content": _content_out(message.parts)}


def encode_assistant(message: Message) -> dict[str, Any]:
    """Only beside calls may the text be missing."""
    content = message.text or (None if message.tool_uses else "")
    out: dict[str, Any] = {"role": "assistant", "content": content}
    thoughts = [part.text for part in message.parts if isinstance(part, Thinking)]
    if thoughts:
        out["reasoning_content"] = "".join(thoughts)
    if message.tool_uses:
        out["tool_calls"] = [
            {
                "id": use.id,
                "type": "function",
                "function": {"name": use.name, "arguments": use.arguments},
            }
            for use in message.tool_uses
        ]
    return out


def arguments_text(value: Any) -> str:
    """JSON text; some clients send the object itself."""
    return value if isinstance(value, str) else dumps(value or {}).decode()


def _thoughts(m: dict[str, Any]) -> Iterator[Part]:
    if text := m.get("reasoning_content") or m.get("reasoning"):
        yield Thinking(text)


def _refusal(m: dict[str, Any]) -> Iterator[Part]:
    if text := m.get("refusal"):
        yield Text(text)


def _calls(m: dict[str, Any]) -> Iterator[Part]:
    for i, call in enumerate(m.get("tool_calls") or ()):
        function = call["function"]
        arguments = arguments_text(function.get("arguments"))
        yield ToolUse(call.get("id") or f"call_{i}", function["name"], arguments)


def decode_content(content: Any, at: str) -> Iterator[Part]:
    """A text, or parts: also where an API streams thoughts among them, as Mistral's does."""
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for i, part in enumerate(content or ()):
        yield _part(part, f"{at}/{i}")


def _part(part: Any, at: str) -> Part:
    match part:
        case str(text):
            return Text(text)
        case {"type": "text" | "input_text" | "output_text", "text": str(text)}:
            return Text(text)
        case {"type": "refusal", "refusal": str(text)}:
            return Text(text)
        case {"type": "thinking", "thinking": list(pieces)}:
            return Thinking("".join(str(piece.get("text") or "") for piece in pieces))
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            return image(url)
        case _:
            raise unsupported_part(part.get("type"), at)


def _content_out(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    if len(parts) <= 1 and all(isinstance(part, Text) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return [_part_out(part) for part in parts]


def _part_out(part: Part) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image():
            return {"type": "image_url", "image_url": {"url": image_url(part)}}
        case _:
            raise InvalidValue(f"a user message holds no {type(part).__name__}")
