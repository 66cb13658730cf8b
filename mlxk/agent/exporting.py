"""A session for other people and other programs: NDJSON that loses nothing, Markdown to read."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict

from mlxk.agent.branches import step_info
from mlxk.agent.transcript import from_lines, to_lines
from mlxk.chat.types import Image, Message, Text, Thinking, ToolResult, ToolUse
from mlxk.contract.encoding import dumps, loads, valid
from mlxk.history.diff import changes, listed
from mlxk.history.record import Place
from mlxk.system.clock import stamp

FORMAT = 1


def said(place: Place) -> dict[int, tuple[Message, ...]]:
    """The messages that each step added."""
    return {step: from_lines(lines) for step, lines in place.lines_by_step()}


def ndjson(place: Place) -> bytes:
    """`session`, then of each step: `step`, and its `message`s as they were recorded."""
    return b"".join(dumps(line, newline=True) for line in _lines(place))


def markdown(place: Place) -> bytes:
    record = place.record
    settings = loads(place.meta())
    facts = f"Session {record.id} with {settings.get('model')}, {stamp(record.when)}, "
    facts += f"from {record.base[:12]} to {place.code[:12]}."
    pieces = [f"# {record.branch}", facts]
    for step, messages in sorted(said(place).items()):
        for message in messages:
            pieces += _said_in(message, step)
    files = changes(record.store, record.base, place.code)
    if files:
        pieces += ["## Files", _fenced(listed(files))]
    return (valid("\n\n".join(pieces)) + "\n").encode()


FORMS: Mapping[str, Callable[[Place], bytes]] = {"ndjson": ndjson, "markdown": markdown}


def _lines(place: Place) -> Iterator[dict[str, object]]:
    record, messages = place.record, said(place)
    yield {
        "type": "session",
        "format": FORMAT,
        "session": record.id,
        "branch": record.branch,
        "base": record.base,
        "head": place.code,
        "parent": record.parent,
        "fork_step": record.parent_step,
        "settings": loads(place.meta()),
    }
    for step in record.steps():
        if step.number > place.step:
            break
        yield {"type": "step", **asdict(step_info(step))}
        for message in messages.get(step.number, ()):
            yield {"type": "message", "step": step.number, **loads(to_lines((message,)))}


def _said_in(message: Message, step: int) -> Iterator[str]:
    yield f"## {step}. {message.role}"
    for part in message.parts:
        match part:
            case Text():
                yield part.text
            case Thinking():
                yield "Thinking:\n\n" + _fenced(part.text)
            case ToolUse():
                yield f"Calls {part.name}:\n\n" + _fenced(part.arguments, "json")
            case ToolResult():
                failed = " failed" if part.is_error else ""
                yield f"{part.name or 'The call'}{failed}:\n\n" + _fenced(part.text)
            case Image():
                yield "(an image)"


def _fenced(text: str, language: str = "") -> str:
    """In a fence longer than any that the text holds."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
