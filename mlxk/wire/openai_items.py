"""Input and output items as OpenAI's Responses write them, both directions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlxk.chat.types import (
    Image,
    Message,
    Part,
    Text,
    Thinking,
    TokenLogprob,
    ToolResult,
    ToolUse,
)
from mlxk.contract.encoding import dumps, loads
from mlxk.contract.errors import InvalidDocument, InvalidValue
from mlxk.contract.notes import note
from mlxk.wire import logprobs
from mlxk.wire.frames import ToolKind
from mlxk.wire.openai_messages import arguments_text
from mlxk.wire.reading import image, image_url, unreadable, unsupported_part


def flat(name: str, namespace: str | None) -> str:
    """The name under which a model sees a tool of a namespace."""
    return f"{namespace}__{name}" if namespace else name


def decode_input(instructions: Any, given: Any) -> Iterator[Message]:
    """Neighbouring items of the assistant are one message: its thoughts, words and calls."""
    if instructions:
        yield Message("system", (Text(instructions),))
    said: list[Part] = []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given or ()
    for i, item in enumerate(items):
        message = _message(item, f"/input/{i}")
        if message is not None and message.role == "assistant":
            said += message.parts
            continue
        if said:
            yield Message("assistant", tuple(said))
            said = []
        if message is not None:
            yield message
    if said:
        yield Message("assistant", tuple(said))


def encode_input(messages: Iterable[Message]) -> list[dict[str, Any]]:
    return [item for message in messages for item in _items(message)]


def decode_output(items: Iterable[dict[str, Any]]) -> Message:
    parts: list[Part] = []
    for i, item in enumerate(items):
        message = _message(item, f"/output/{i}")
        parts += message.parts if message else ()
    return Message("assistant", tuple(parts))


def output_item(
    part: Part, id: str, kinds: Mapping[str, ToolKind], measured: Iterable[TokenLogprob] = ()
) -> dict[str, Any]:
    """A finished item of an answer; `measured` are the tokens of a text."""
    match part:
        case Text(text):
            content = {
                "type": "output_text",
                "text": text,
                "annotations": [],
                "logprobs": logprobs.encode(measured),
            }
            return {
                "id": f"msg_{id}",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [content],
            }
        case Thinking(text, signature):
            return {
                "id": f"rs_{id}",
                "type": "reasoning",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": text}],
                "encrypted_content": signature,
                "status": "completed",
            }
        case ToolUse():
            return _call_out(part, id, kinds.get(part.name) or ToolKind(part.name))
    raise InvalidValue(f"an answer holds no {type(part).__name__}")


def custom_input(arguments: str) -> str:
    """The text of a custom tool's call, whatever the model made of it."""
    try:
        value = loads(arguments)
    except InvalidDocument:
        return arguments
    match value:
        case {"input": str(text)}:
            return text
        case _:
            return arguments


def _call_out(use: ToolUse, id: str, kind: ToolKind) -> dict[str, Any]:
    where = {"namespace": kind.namespace} if kind.namespace else {}
    head = {"call_id": use.id, "name": kind.name, "status": "completed", **where}
    if kind.custom:
        text = custom_input(use.arguments)
        return {"id": f"ctc_{id}", "type": "custom_tool_call", "input": text, **head}
    return {"id": f"fc_{id}", "type": "function_call", "arguments": use.arguments, **head}


def _message(item: dict[str, Any], at: str) -> Message | None:
    """What an item says; None for what other programs keep for themselves."""
    match item.get("type") or "message":
        case "message":
            return _spoken(item, at)
        case "function_call":
            name = flat(item["name"], item.get("namespace"))
            use = ToolUse(item["call_id"], name, arguments_text(item.get("arguments")))
            return Message("assistant", (use,))
        case "custom_tool_call":
            arguments = dumps({"input": item.get("input") or ""}).decode()
            name = flat(item["name"], item.get("namespace"))
            return Message("assistant", (ToolUse(item["call_id"], name, arguments),))
        case "function_call_output" | "custom_tool_call_output":
            text = _output_text(item.get("output"), f"{at}/output")
            return Message("tool", (ToolResult(item["call_id"], text),))
        case "reasoning":
            thoughts = tuple(_thoughts(item))
            return Message("assistant", thoughts) if thoughts else None
        case "item_reference":
            raise unsupported_part("item_reference", at)
        case kind:
            note("ignored_item", f"items of type {kind!r} mean nothing here and were left out", at)
            return None


def _spoken(item: dict[str, Any], at: str) -> Message:
    role = item.get("role")
    parts = tuple(_parts(item.get("content"), f"{at}/content"))
    match role:
        case "user" | "assistant":
            return Message(role, parts)
        case "system" | "developer":
            return Message("system", parts)
        case _:
            raise InvalidValue(f"{role!r} is no role at {at}/role", pointer=f"{at}/role")


def _parts(content: Any, at: str) -> Iterator[Part]:
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for i, part in enumerate(content or ()):
        match part:
            case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
                yield Text(text)
            case {"type": "refusal", "refusal": str(text)}:
                yield Text(text)
            case {"type": "input_image", "image_url": str(url)}:
                yield image(url)
            case _:
                raise unsupported_part(part.get("type"), f"{at}/{i}")


def _thoughts(item: dict[str, Any]) -> Iterator[Part]:
    texts = item.get("content") or item.get("summary") or ()
    text = "".join(part.get("text") or "" for part in texts)
    if text or item.get("encrypted_content"):
        yield Thinking(text, item.get("encrypted_content"))


def _output_text(output: Any, at: str) -> str:
    if isinstance(output, list):
        return "".join(
            part.text if isinstance(part, Text) else unreadable("image")
            for part in _parts(output, at)
        )
    return output if isinstance(output, str) else dumps(output).decode()


def _items(message: Message) -> Iterator[dict[str, Any]]:
    spoken: list[Part] = []
    for part in message.parts:
        match part:
            case ToolUse(id, name, arguments):
                yield from _spoken_out(message, spoken)
                spoken = []
                yield {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}
            case ToolResult(id, text):
                yield {"type": "function_call_output", "call_id": id, "output": text}
            case Thinking(text, signature):
                # A thought that nobody signed is refused by the API: it stays here.
                if signature:
                    summary = [{"type": "summary_text", "text": text}] if text else []
                    thought = {"type": "reasoning", "summary": summary}
                    yield thought | {"encrypted_content": signature}
            case _:
                spoken.append(part)
    yield from _spoken_out(message, spoken)


def _spoken_out(message: Message, parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
    kind = "output_text" if message.role == "assistant" else "input_text"
    content: list[dict[str, Any]] = []
    for part in parts:
        match part:
            case Text(text):
                content.append({"type": kind, "text": text})
            case Image():
                content.append({"type": "input_image", "image_url": image_url(part)})
    if content:
        yield {"type": "message", "role": message.role, "content": content}
