"""Make a conversation fit a context again: older tool results go first, then older rounds."""

from collections.abc import Sequence
from dataclasses import replace

from mlxk.chat.types import Message, ToolResult

_GONE = "[left out to save context]"
_KEPT = 200
LEVELS = 3


def compacted(messages: Sequence[Message], level: int) -> tuple[Message, ...]:
    """Level 1 cuts tool results but the last two; 2 all of them; 3 keeps the first and last turns.

    What the history holds does not change: only this request is shorter.
    """
    results = [n for n, m in enumerate(messages) if m.role == "tool"]
    cut = set(results[:-2] if level == 1 else results)
    shorter = [_cut(m) if n in cut else m for n, m in enumerate(messages)]
    return _ends(shorter) if level >= LEVELS else tuple(shorter)


def size(messages: Sequence[Message]) -> int:
    """Characters of all tool results and texts."""
    return sum(len(getattr(part, "text", "")) for m in messages for part in m.parts)


def _cut(message: Message) -> Message:
    parts = tuple(
        replace(part, text=f"{part.text[:_KEPT]}\n{_GONE}")
        if isinstance(part, ToolResult) and len(part.text) > _KEPT
        else part
        for part in message.parts
    )
    return Message(message.role, parts)


def _ends(messages: list[Message]) -> tuple[Message, ...]:
    """The first request and the last one with all that followed it, so that calls keep results."""
    asked = [n for n, m in enumerate(messages) if m.role == "user"]
    if len(asked) < 2:
        rounds = [n for n, m in enumerate(messages) if m.role == "assistant"]
        start = rounds[-2] if len(rounds) > 1 else 1
        return (messages[0], *messages[start:])
    return (messages[asked[0]], *messages[asked[-1] :])
