"""One session for people: each message with its step, each step with its files. Only reads."""

from collections.abc import Iterator
from dataclasses import dataclass

from mlxk.agent.settings import from_meta
from mlxk.agent.transcript import from_lines
from mlxk.chat.types import Message, Role, Thinking, ToolResult, ToolUse
from mlxk.contract.encoding import valid
from mlxk.contract.errors import NotFound
from mlxk.history import diff
from mlxk.history.commits import Commit
from mlxk.history.record import Place, stages
from mlxk.history.sides import FileSides, Row, sides
from mlxk.history.store import Store
from mlxk.system.clock import stamp

SHOWN = 64_000  # characters of a text; the whole is asked for


@dataclass(frozen=True, slots=True)
class Said:
    """What a tool said, cut at `SHOWN`; `size` is all of it."""

    id: str
    name: str | None
    ok: bool
    text: str
    size: int


@dataclass(frozen=True, slots=True)
class Line:
    """A message. `step` is the one it was written in."""

    role: Role
    step: int
    text: str
    thinking: str
    calls: tuple[ToolUse, ...]
    results: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    number: int
    commit: str
    subject: str
    when: str
    files: tuple[diff.FileChange, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    session: str
    branch: str
    head: str
    model: str
    api: str
    permissions: str
    messages: tuple[Line, ...]
    steps: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """`files` carry rows as (kind, old line, old, new line, new): there are many."""

    old: str
    new: str
    additions: int
    deletions: int
    files: tuple["FileRows", ...]


@dataclass(frozen=True, slots=True)
class FileRows:
    path: str
    status: diff.Status
    additions: int
    deletions: int
    binary: bool
    cut: bool
    hunks: tuple[tuple[tuple[str, int | None, str, int | None, str], ...], ...]


class Stages:
    """Steps with their files; remembers those that it has read: a commit does not change."""

    def __init__(self) -> None:
        self._known: dict[str, Stage] = {}

    def of(self, place: Place) -> tuple[Stage, ...]:
        """Oldest first, the start (number 0) included, up to there."""
        found: list[Stage] = []
        for number, commit_id, commit in stages(place.record.store, place.session_commit):
            if commit_id not in self._known:
                before = found[-1].commit if found else None
                self._known[commit_id] = _stage(place.record.store, number, commit, before)
            found.append(self._known[commit_id])
        return tuple(found)


def conversation(place: Place, stages: Stages) -> Conversation:
    record, settings = place.record, from_meta(place.meta())
    return Conversation(
        session=record.id,
        branch=record.branch,
        head=place.session_commit,
        model=settings.model,
        api=settings.api,
        permissions=settings.permissions.mode,
        messages=tuple(_messages(place)),
        steps=stages.of(place),
    )


def whole(place: Place, step: int, call: str) -> str:
    """All that a tool said in that step. NotFound."""
    for number, lines in place.lines_by_step():
        for message in from_lines(lines) if number == step else ():
            for part in message.parts:
                if isinstance(part, ToolResult) and part.tool_use_id == call:
                    return part.text
    raise NotFound(f"step {step} has no result of {call!r}")


def compared(store: Store, old: str | None, new: str) -> Compared:
    files = tuple(map(_rows, sides(store, old, new)))
    added, deleted = sum(f.additions for f in files), sum(f.deletions for f in files)
    return Compared(old or "", new, added, deleted, files)


def _stage(store: Store, number: int, commit: Commit, before: str | None) -> Stage:
    code = commit.parents[-1]
    files = diff.changes(store, before, code) if before and before != code else ()
    return Stage(number, code, commit.subject, stamp(commit.when), files)


def _rows(file: FileSides) -> FileRows:
    change = file.change
    hunks = tuple(tuple(map(_tuple, hunk)) for hunk in file.hunks)
    return FileRows(
        change.path,
        change.status,
        change.additions,
        change.deletions,
        change.binary,
        file.cut,
        hunks,
    )


def _tuple(row: Row) -> tuple[str, int | None, str, int | None, str]:
    return row.kind, row.old_line, row.old, row.new_line, row.new


def _messages(place: Place) -> Iterator[Line]:
    for step, lines in place.lines_by_step():
        for message in from_lines(lines):
            yield Line(
                message.role,
                step,
                valid(message.text),
                valid("".join(p.text for p in message.parts if isinstance(p, Thinking))),
                tuple(ToolUse(u.id, u.name, valid(u.arguments)) for u in message.tool_uses),
                tuple(_results(message)),
            )


def _results(message: Message) -> Iterator[Said]:
    for part in message.parts:
        if isinstance(part, ToolResult):
            text = valid(part.text)
            ok = not part.is_error
            yield Said(part.tool_use_id, part.name, ok, text[:SHOWN], len(text))
