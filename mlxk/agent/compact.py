"""Make a conversation fit a context again: older tool results go first, then older rounds, for
which a summary stands."""

from collections.abc import Sequence
from dataclasses import replace

from mlxk.chat.types import Message, Text, ToolResult

_GONE = "[left out to save context]"
_KEPT = 200
_SUMMARY = 2000
_LINE = 120
LEVELS = 3


def compacted(messages: Sequence[Message], level: int) -> tuple[Message, ...]:
    """Level 1 cuts tool results but the last two; 2 all of them; 3 keeps the first and last turns,
    and a summary of those between.

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
    first = asked[0] if asked else 0
    if len(asked) < 2:
        rounds = [n for n, m in enumerate(messages) if m.role == "assistant"]
        start = rounds[-2] if len(rounds) > 1 else first + 1
    else:
        start = asked[-1]
    summary = _summary(messages[first + 1 : start])
    opening = replace(messages[first], parts=(*messages[first].parts, *summary))
    return (opening, *messages[start:])


def _summary(dropped: Sequence[Message]) -> tuple[Text, ...]:
    """What was asked, done and said in what is left out: a line each, the latest that fit."""
    lines = [line for message in dropped for line in _lines(message)]
    if not lines:
        return ()
    kept: list[str] = []
    for line in reversed(lines):
        if sum(map(len, kept)) + len(line) > _SUMMARY:
            kept.append(f"({len(lines) - len(kept)} earlier ones)")
            break
        kept.append(line)
    return (Text("\n\n[What followed, in short:\n" + "\n".join(reversed(kept)) + "]"),)


def _lines(message: Message) -> list[str]:
    words = " ".join(message.text.split())
    said = [f"{message.role}: {words}"] if words and message.role != "tool" else []
    calls = [f"called {use.name} {use.arguments}" for use in message.tool_uses]
    return [line[:_LINE] for line in (*said, *calls)]
