"""What a person may look at in a session: changes, conversation, an export. Only reads."""

from dataclasses import dataclass

from mlxk.agent import events, exporting
from mlxk.agent.desk_news import Prompted
from mlxk.agent.transcript import from_lines
from mlxk.chat.types import Image, Message, Text, Thinking, ToolResult, ToolUse
from mlxk.history import diff, trash
from mlxk.history.diff import FileChange
from mlxk.history.record import Place, Step
from mlxk.history.sides import FileSides, sides
from mlxk.history.store import Store


@dataclass(frozen=True, slots=True)
class Changes:
    """Between two commits; `patch` is a unified diff, and all of it."""

    old: str
    new: str
    sides: tuple[FileSides, ...]
    patch: str

    @property
    def files(self) -> tuple[FileChange, ...]:
        return tuple(file.change for file in self.sides)


@dataclass(frozen=True, slots=True)
class History:
    """`steps` begin with number 0, the start."""

    branch: str
    messages: tuple[Message, ...]
    steps: tuple[Step, ...]


def changes(store: Store, old: str, new: str) -> Changes:
    patch = diff.patch(store, old, new).decode(errors="replace")
    return Changes(old, new, sides(store, old, new), patch)


def history(place: Place) -> History:
    record = place.record
    return History(record.branch, from_lines(place.lines()), record.steps())


def is_unmerged(store: Store, place: Place) -> bool:
    """Whether it holds work that what is checked out does not have."""
    return not trash.is_landed(store, place.record, store.head())


def exported(place: Place, *, raw: bool) -> str:
    """As Markdown for people, or `raw`: NDJSON for programs."""
    render = exporting.ndjson if raw else exporting.markdown
    return render(place).decode()


def replayed(messages: tuple[Message, ...]) -> list[Prompted | events.Payload]:
    """A conversation of the past as the news it was told in, without the pieces."""
    return [payload for message in messages for payload in _told(message)]


def _told(message: Message) -> list[Prompted | events.Payload]:
    if message.role == "user":
        return [Prompted(message.text, queued=False)]
    payloads: list[Prompted | events.Payload] = []
    for part in message.parts:
        match part:
            case Text(text):
                payloads.append(events.TextDelta(text))
            case Thinking(text=text):
                payloads.append(events.ThinkingDelta(text))
            case ToolUse(id, name, arguments):
                payloads.append(events.ToolStarted(id, name, arguments))
            case ToolResult(id, text, is_error, name):
                payloads.append(events.ToolFinished(id, name or "", not is_error, 0.0, text))
            case Image():
                payloads.append(events.TextDelta("[image]"))
    return payloads
