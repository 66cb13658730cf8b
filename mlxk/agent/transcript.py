"""Messages as lines of JSON, one a line, and back. What a session's history holds."""

from collections.abc import Iterable
from typing import Any

from mlxk.chat.types import Image, Message, Part, Text, Thinking, ToolResult, ToolUse
from mlxk.contract import encoding
from mlxk.contract.errors import HistoryCorrupt, InvalidDocument

_KINDS: dict[str, type[Part]] = {
    "text": Text,
    "thinking": Thinking,
    "image": Image,
    "tool_use": ToolUse,
    "tool_result": ToolResult,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_lines(messages: Iterable[Message]) -> bytes:
    """Any text survives: NUL, CRLF, lone surrogates."""
    return b"".join(encoding.dumps(plain(message), newline=True) for message in messages)


def from_lines(lines: bytes) -> tuple[Message, ...]:
    """HistoryCorrupt names the line that cannot be read."""
    return tuple(_message(raw, number) for number, raw in enumerate(lines.split(b"\n"), 1) if raw)


def repaired(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """What must follow so that a model accepts the history: a result for every call.

    A run that was killed between a call and its result leaves the call open.
    """
    asked = next((n for n in range(len(messages) - 1, -1, -1) if messages[n].tool_uses), None)
    if asked is None:
        return ()
    # Only what follows: servers without ids of their own count from `call_0` in every turn.
    after = (part for message in messages[asked + 1 :] for part in message.parts)
    answered = {part.tool_use_id for part in after if isinstance(part, ToolResult)}
    results = tuple(stopped(use) for use in messages[asked].tool_uses if use.id not in answered)
    return (Message("tool", results),) if results else ()


def stopped(use: ToolUse) -> ToolResult:
    """The result of a call that did not come to its end."""
    return ToolResult(use.id, "Error: the run was stopped before this call ended", True, use.name)


def plain(message: Message) -> dict[str, Any]:
    """As a line holds it."""
    parts = [{"type": _NAMES[type(part)], **_fields(part)} for part in message.parts]
    return {"role": message.role, "parts": parts}


def _fields(part: Part) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__dataclass_fields__}


def _message(raw: bytes, number: int) -> Message:
    try:
        value = encoding.loads(raw)
        return Message(value["role"], tuple(map(_part, value["parts"])))
    except (InvalidDocument, KeyError, TypeError) as e:
        raise HistoryCorrupt(
            f"line {number} of the conversation cannot be read", line=number
        ) from e


def _part(value: dict[str, Any]) -> Part:
    fields = {name: item for name, item in value.items() if name != "type"}
    return _KINDS[value["type"]](**fields)
