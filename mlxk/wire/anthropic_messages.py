"""Messages and content blocks as Anthropic writes them, both directions."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Any

from mlxk.chat.types import Image, Message, Part, Role, Text, Thinking, ToolResult, ToolUse
from mlxk.contract import encoding
from mlxk.contract.errors import InvalidValue
from mlxk.wire.reading import arguments_of, unreadable, unsupported_part

UNSIGNED = "unsigned"
# A line that changes with every request, says nothing to a model, and would spoil every cached
# prefix (https://github.com/ggml-org/llama.cpp/issues/20623).
_BILLING = "x-anthropic-billing-header"


def decode_system(system: Any, at: str) -> Iterator[Message]:
    """A string and a list of blocks read alike; the client's billing line is left out."""
    if parts := tuple(_without_billing(_parts(system, at))):
        yield Message("system", parts)


def _without_billing(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        if not isinstance(part, Text) or _BILLING not in part.text:
            yield part
            continue
        lines = part.text.splitlines(keepends=True)
        if text := "".join(line for line in lines if not line.startswith(_BILLING)):
            yield Text(text)


def decode_message(turn: dict[str, Any], number: int) -> Iterator[Message]:
    """A user turn may hold tool results: they become a message of their own before the rest."""
    at = f"/messages/{number}/content"
    if turn["role"] == "system":
        yield from decode_system(turn["content"], at)
        return
    message = decode_content(turn["role"], turn["content"], at)
    results = tuple(part for part in message.parts if isinstance(part, ToolResult))
    rest = tuple(part for part in message.parts if not isinstance(part, ToolResult))
    if results:
        yield Message("tool", results)
    if rest or not results:
        yield Message(message.role, rest)


def decode_content(role: Role, content: Any, at: str = "/content") -> Message:
    return Message(role, tuple(_parts(content, at)))


def encode_content(parts: Sequence[Part]) -> list[dict[str, Any]]:
    return [_block(part) for part in parts]


def encode_messages(messages: Sequence[Message]) -> tuple[Any, list[dict[str, Any]]]:
    """The leading system messages, and the turns; a system message further on is told to the user
    turn, for not every version of the API takes one there."""
    leading = list(takewhile(lambda m: m.role == "system", messages))
    system = [block for message in leading for block in encode_content(message.parts)]
    turns: list[dict[str, Any]] = []
    for message in messages[len(leading) :]:
        role = "assistant" if message.role == "assistant" else "user"
        follows = turns and turns[-1]["role"] == role == "user"
        if follows and turns[-1]["content"][-1]["type"] == "tool_result":
            turns[-1]["content"] += encode_content(message.parts)
        else:
            turns.append({"role": role, "content": encode_content(message.parts)})
    return system or None, turns


def signature_of(signature: str | None) -> str | None:
    """Our own mark for a thought that nobody signed means none."""
    return None if signature in (UNSIGNED, "") else signature


def referenced(messages: Sequence[dict[str, Any]]) -> set[str]:
    """The deferred tools that a search has brought into the conversation."""
    found: set[str] = set()
    for turn in messages:
        for block in turn["content"] if isinstance(turn["content"], list) else ():
            inner = block.get("content")
            for part in inner if isinstance(inner, list) else ():
                if isinstance(part, dict) and part.get("type") == "tool_reference":
                    found.add(str(part.get("tool_name")))
    return found


def _parts(content: Any, at: str) -> Iterator[Part]:
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for i, block in enumerate(content or ()):
        yield from _part(block, f"{at}/{i}")


def _part(block: dict[str, Any], at: str) -> Iterator[Part]:
    match block:
        case {"type": "text", "text": str(text)}:
            yield Text(text)
        case {"type": "thinking", "thinking": str(text)}:
            yield Thinking(text, signature_of(block.get("signature")))
        case {"type": "redacted_thinking"}:
            pass
        case {"type": "tool_use", "id": str(id), "name": str(name)}:
            yield ToolUse(id, name, encoding.dumps(block.get("input") or {}).decode())
        case {"type": "tool_result", "tool_use_id": str(id)}:
            text = _result_text(block.get("content"), f"{at}/content")
            yield ToolResult(id, text, is_error=bool(block.get("is_error")))
        case {"type": "image", "source": {"type": "base64", "data": str(data)} as source}:
            yield Image(source.get("media_type"), data)
        case {"type": "image", "source": {"type": "url", "url": str(url)}}:
            yield Image(url=url)
        case {"type": "document", "source": {"type": "text", "data": str(text)}}:
            yield Text(text)
        case _:
            raise unsupported_part(block.get("type"), at)


def _result_text(content: Any, at: str) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for i, block in enumerate(content or ()):
        match block:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "tool_reference", "tool_name": str(name)}:
                texts.append(f"The tool {name} is available now.")
            case {"type": "image" | "document" as kind}:
                texts.append(unreadable(kind))
            case _:
                raise unsupported_part(block.get("type"), f"{at}/{i}")
    return "\n".join(texts)


def _block(part: Part) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Thinking(text, signature):
            return {"type": "thinking", "thinking": text, "signature": signature or UNSIGNED}
        case ToolUse(id, name, arguments):
            return {"type": "tool_use", "id": id, "name": name, "input": arguments_of(arguments)}
        case ToolResult(id, text, is_error):
            block = {"type": "tool_result", "tool_use_id": id, "content": text}
            return block | {"is_error": True} if is_error else block
        case Image(_, _, url) if url is not None:
            return {"type": "image", "source": {"type": "url", "url": url}}
        case Image(media_type, data):
            source = {"type": "base64", "media_type": media_type, "data": data}
            return {"type": "image", "source": source}
    raise InvalidValue(f"a message holds no {type(part).__name__}")
