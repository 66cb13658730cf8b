"""`mlxk branch undo | rm | restore | prune`: going back, and putting sessions away."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlxk.cli.registry import command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlxk.history.diff import FileChange

Name = Annotated[str, typer.Argument(help="A session or its branch.")]


@dataclass(frozen=True, slots=True)
class Undone:
    """`step` is the new one; files and conversation are as they were after step `to`. `redo` is
    what to type to take that back."""

    name: str
    session: str
    to: int
    step: int
    head: str
    files_changed: "tuple[FileChange, ...]"
    redo: str


@dataclass(frozen=True, slots=True)
class Gone:
    name: str
    session: str
    head: str


@dataclass(frozen=True, slots=True)
class Removed:
    removed: tuple[Gone, ...]
    restore: str


@dataclass(frozen=True, slots=True)
class Restored:
    name: str
    session: str
    head: str


@dataclass(frozen=True, slots=True)
class Pruned:
    pruned: tuple[Gone, ...]
    kept: int
    restore: str | None  # works until git's gc has taken the objects


def _undone(value: Undone, _: dict[str, Any]) -> str:
    from mlxk.agent.tools.base import plural

    files = plural(len(value.files_changed), "file")
    back = f"{value.name} is as it was after step {value.to} ({files} changed back)"
    return f"{back}\nagain   {value.redo}"


@command("branch undo", _undone)
def branch_undo(
    rev: Name,
    step: Annotated[int | None, typer.Option(min=0, help="Back to this step.")] = None,
    turn: Annotated[
        int | None, typer.Option(min=0, help="Back to the end of this answer; default: the last.")
    ] = None,
) -> Undone:
    """Take a session back to an earlier step: files and conversation. It is a step of its own.

    Without a step or turn, the last prompt and all that followed it are undone.

    mlxk branch undo greet

    mlxk branch undo greet --turn 1
    """
    import shlex

    from mlxk.agent.turns import before_last_prompt, step_of_turn
    from mlxk.cli.branch import open_store
    from mlxk.contract.errors import UsageError
    from mlxk.history.session import Session
    from mlxk.system.clock import now

    if step is not None and turn is not None:
        raise UsageError("give a step or a turn, not both", hint="mlxk branch log REV")
    with open_store() as store, Session.open(store, rev, when=now()) as session:
        record = session.record
        if turn is not None:
            step = step_of_turn(record, turn)
        back = before_last_prompt(record) if step is None else step
        done = session.undo(back, when=now())
        redo = f"mlxk branch undo {shlex.quote(session.name)} --step {done.number - 1}"
        return Undone(session.branch, session.id, back, done.number, done.id, done.files, redo)


def _removed(value: Removed, _: dict[str, Any]) -> str:
    names = "\n".join(f"removed {gone.name}" for gone in value.removed)
    return f"{names}\nback    {value.restore}"


@command("branch rm", _removed)
def branch_rm(
    names: Annotated[list[str], typer.Argument(help="Sessions or their branches.")],
    force: Annotated[bool, typer.Option("--force", help="Also work that has not landed.")] = False,
) -> Removed:
    """Put sessions away: branch, worktree, ref. They stay in the trash until `branch prune`.

    mlxk branch rm greet

    mlxk branch rm --force first-try second-try
    """
    from mlxk.cli.branch import open_store
    from mlxk.history import trash
    from mlxk.history.record import find
    from mlxk.system.clock import now

    with open_store() as store:
        records = list(
            {place.record.id: place.record for place in (find(store, n) for n in names)}.values()
        )
        for record in records:
            if not force:
                trash.require_landed(store, record)
        gone = tuple(_gone(trash.discard(store, record, now())) for record in records)
    return Removed(gone, _restore(record.name for record in records) or "")


def _restored(value: Restored, _: dict[str, Any]) -> str:
    return f"{value.name} is back at {value.head[:12]}"


@command("branch restore", _restored)
def branch_restore(
    name: Annotated[str, typer.Argument(help="A session, its branch, or its last hash.")],
) -> Restored:
    """Bring a removed session back from the trash; a pruned one by the hash that `prune` named.

    mlxk branch restore greet
    """
    from mlxk.cli.branch import open_store
    from mlxk.history import trash

    with open_store() as store:
        record = trash.restore(store, name)
        return Restored(record.branch, record.id, record.code)


def _pruned(value: Pruned, _: dict[str, Any]) -> str:
    done = f"forgot {len(value.pruned)}, {value.kept} still in the trash"
    return f"{done}\nback    {value.restore}" if value.restore else done


@command("branch prune", _pruned)
def branch_prune(
    days: Annotated[float, typer.Option("--older-than", min=0, help="Days in the trash.")] = 30.0,
) -> Pruned:
    """Forget removed sessions, and clear away what killed runs left.

    Their objects leave the disk with git's own gc; until then they come back as the answer says.

    mlxk branch prune

    mlxk branch prune --older-than 0 --json | jq '.data.pruned | length'
    """
    from datetime import timedelta

    from mlxk.agent import leash
    from mlxk.cli.branch import open_store
    from mlxk.history import trash
    from mlxk.system.clock import now

    with open_store() as store:
        pruned = trash.prune(store, now() - timedelta(days=days))
        for gone in pruned:
            leash.forget(store.home, gone.record.id)
        restore = _restore(gone.record.head[:12] for gone in pruned)
        return Pruned(tuple(map(_gone, pruned)), len(trash.discarded(store)), restore)


def _restore(names: "Iterable[str]") -> str | None:
    """One line that brings all of them back."""
    import shlex

    return " && ".join(f"mlxk branch restore {shlex.quote(name)}" for name in names) or None


def _gone(discarded: Any) -> Gone:
    record = discarded.record
    return Gone(record.branch, record.id, record.code)
