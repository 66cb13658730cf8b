"""`mlxk branch list | show | diff`: what the sessions hold. These commands only read."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mlxk.cli.registry import command, group

if TYPE_CHECKING:
    from mlxk.agent.branches import Branch, StepInfo
    from mlxk.chat.types import Message
    from mlxk.history.diff import FileChange
    from mlxk.history.store import Store

group("branch", "Sessions of the agent as branches of git.")

Role = Literal["system", "user", "assistant", "tool"]
Rev = Annotated[str, typer.Argument(help="A session id, a branch, or a commit of one.")]


@dataclass(frozen=True, slots=True)
class Trashed:
    """`restore` is what to type to bring it back."""

    name: str
    session: str
    removed_at: str
    steps: int
    restore: str


@dataclass(frozen=True, slots=True)
class Branches:
    """`trash` is there when it was asked for; `count` is of what is listed."""

    branches: "tuple[Branch, ...]"
    count: int
    trash: tuple[Trashed, ...] | None


@dataclass(frozen=True, slots=True)
class CallInfo:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class MessageInfo:
    role: Role
    text: str
    tool_calls: tuple[CallInfo, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    branch: "Branch"
    steps: "tuple[StepInfo, ...]"
    messages: tuple[MessageInfo, ...]
    files_changed: "tuple[FileChange, ...]"
    page: str | None  # with --web: the file


@dataclass(frozen=True, slots=True)
class Diff:
    a: str
    b: str
    files: "tuple[FileChange, ...]"
    additions: int
    deletions: int
    patch: str


def _list_text(value: Branches, _: dict[str, Any]) -> str:
    if value.trash is not None:
        return _trash_text(value.trash)
    if not value.branches:
        return 'no branches yet: mlxk agent "…" makes one'
    from mlxk.cli.tables import columns

    header = ("BRANCH", "STATE", "STEPS", "AHEAD", "MODEL", "LAST ACTIVITY")
    rows = [
        (b.name, b.state, str(b.steps), str(b.ahead), b.model, b.last_activity)
        for b in value.branches
    ]
    return columns(header, rows)


def _trash_text(trash: tuple[Trashed, ...]) -> str:
    if not trash:
        return "the trash is empty"
    from mlxk.cli.tables import columns

    header = ("BRANCH", "SESSION", "REMOVED", "STEPS", "BACK")
    return columns(header, ((t.name, t.session, t.removed_at, t.steps, t.restore) for t in trash))


@command("branch list", _list_text)
def branch_list(
    trash: Annotated[
        bool, typer.Option("--trash", help="The ones that were removed, and how they come back.")
    ] = False,
) -> Branches:
    """List the sessions of this repository, newest first.

    mlxk branch list

    mlxk branch list --trash

    mlxk branch list --json | jq -r '.data.branches[].name'
    """
    from mlxk.agent.branches import branch_infos
    from mlxk.history.record import records

    with open_store() as store:
        if trash:
            gone = _trashed(store)
            return Branches((), len(gone), gone)
        found = branch_infos(store, records(store))
    return Branches(found, len(found), None)


def _trashed(store: "Store") -> tuple[Trashed, ...]:
    import shlex

    from mlxk.history.trash import discarded
    from mlxk.system.clock import stamp

    found: list[Trashed] = []
    for old in reversed(discarded(store)):
        record, is_newest = old.record, all(t.name != old.record.branch for t in found)
        restore = f"mlxk branch restore {shlex.quote(record.name if is_newest else record.id)}"
        found.append(Trashed(record.branch, record.id, stamp(old.when), record.step, restore))
    return tuple(found)


def _show_text(value: Shown, _: dict[str, Any]) -> str:
    from mlxk.history.diff import listed

    if value.page is not None:
        return value.page
    branch = value.branch
    head = f"{branch.name}  session {branch.session}  {branch.model}  {branch.state}"
    said = [_said(message) for message in value.messages]
    return "\n\n".join(filter(None, [head, *said, listed(value.files_changed)]))


@command("branch show", _show_text)
def branch_show(
    rev: Rev,
    web: Annotated[bool, typer.Option("--web", help="As a page, in a file of its own.")] = False,
) -> Shown:
    """Show one session: its conversation, its steps and what it changed.

    mlxk branch show create-a-file

    mlxk branch show create-a-file --web

    mlxk branch show create-a-file --json | jq '.data.messages[-1].text'
    """
    from mlxk.agent.branches import branch_info, step_info
    from mlxk.agent.transcript import from_lines
    from mlxk.cli.web import write_page
    from mlxk.history import diff
    from mlxk.history.distance import Distances
    from mlxk.history.record import find

    with open_store() as store:
        place = find(store, rev)
        return Shown(
            branch_info(place.record, Distances(store)),
            tuple(step_info(step) for step in place.record.steps() if step.number <= place.step),
            tuple(_message(message) for message in from_lines(place.lines())),
            diff.changes(store, place.record.base, place.code),
            write_page(store, place) if web else None,
        )


def _diff_text(value: Diff, _: dict[str, Any]) -> str:
    return value.patch.rstrip("\n")


@command("branch diff", _diff_text)
def branch_diff(
    a: Rev,
    b: Annotated[
        str | None, typer.Argument(help="Compare with this one instead, or a commit of yours.")
    ] = None,
) -> Diff:
    """Show what a session changed since its start, or how two places differ.

    mlxk branch diff create-a-file | git apply --stat

    mlxk branch diff first-try second-try

    mlxk branch diff main create-a-file
    """
    from mlxk.history import diff
    from mlxk.history.record import find
    from mlxk.history.revisions import code

    with open_store() as store:
        if b is None:
            first = find(store, a)
            ends = first.record.base, first.code
        else:
            ends = code(store, a), code(store, b)
        files = diff.changes(store, *ends)
        patch = diff.patch(store, *ends).decode(errors="replace")
    added, deleted = sum(f.additions for f in files), sum(f.deletions for f in files)
    return Diff(*ends, files, added, deleted, patch)


def open_store() -> "Store":
    from mlxk.history.store import Store
    from mlxk.system import paths

    return Store.open(Path.cwd(), paths.home())


def _message(message: "Message") -> MessageInfo:
    calls = tuple(CallInfo(use.id, use.name, use.arguments) for use in message.tool_uses)
    return MessageInfo(message.role, _words(message), calls)


def _words(message: "Message") -> str:
    """The text of a message; for tool results, what the tools said."""
    from mlxk.chat.types import ToolResult

    results = [part.text for part in message.parts if isinstance(part, ToolResult)]
    return "\n".join(results) if results else message.text


def _said(message: MessageInfo) -> str:
    calls = "".join(f"\n• {call.name} {call.arguments}" for call in message.tool_calls)
    return f"{message.role}: {message.text}{calls}"
