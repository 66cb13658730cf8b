"""`mlxk branch create`, `land` and `unland`: another future from any step, work brought home."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mlxk.cli.registry import command

if TYPE_CHECKING:
    from mlxk.history.diff import FileChange
    from mlxk.history.record import Place, Record
    from mlxk.history.store import Store


@dataclass(frozen=True, slots=True)
class Created:
    """`commit` is the code, `step` the last one the new branch shares with `parent`."""

    name: str
    session: str
    parent: str
    step: int
    commit: str
    worktree: str
    resume: str


@dataclass(frozen=True, slots=True)
class LandedWork:
    """`commit` is where `into` is now; `before` where it was (null: it is new)."""

    name: str
    session: str
    into: str
    before: str | None
    commit: str
    files_changed: "tuple[FileChange, ...]"
    checkouts: tuple[str, ...]
    undo: str | None  # null: there was nothing to land


@dataclass(frozen=True, slots=True)
class TakenBack:
    """`before` had the landing, `commit` is where the branch is now."""

    name: str
    session: str
    branch: str
    before: str
    commit: str
    files_changed: "tuple[FileChange, ...]"
    checkouts: tuple[str, ...]
    undo: str


def _created(value: Created, _: dict[str, Any]) -> str:
    return f"{value.name} goes on from step {value.step} of {value.parent}\nresume  {value.resume}"


@command("branch create", _created)
def branch_create(
    rev: Annotated[str, typer.Argument(help="A session, branch or commit to start from.")],
    name: Annotated[str | None, typer.Argument(help="Name of the new branch.")] = None,
    step: Annotated[int | None, typer.Option(min=0, help="Go back to this step of it.")] = None,
    turn: Annotated[
        int | None, typer.Option(min=0, help="Go back to the end of this answer of the model.")
    ] = None,
) -> Created:
    """Start another branch from any step of a session: files and conversation as they were then.

    mlxk branch create greet

    mlxk branch create greet second-try --turn 1 --json | jq -r .data.resume
    """
    from mlxk.agent import compose
    from mlxk.agent.settings import from_meta
    from mlxk.agent.turns import step_of_turn
    from mlxk.cli.branch import open_store
    from mlxk.contract.errors import UsageError
    from mlxk.history.record import find
    from mlxk.system.clock import now

    if step is not None and turn is not None:
        raise UsageError("give a step or a turn, not both", hint="mlxk branch log REV")
    with open_store() as store:
        place = find(store, rev)
        if turn is not None:
            step = step_of_turn(place.record, turn)
        if step is not None:
            place = place.record.at(step)
        settings = from_meta(place.meta())
        wanted = name or place.record.name
        session = compose.fork(store, place, settings, wanted, now(), exact=name is not None)
        with session:
            return _value(session.record, place, str(session.worktree))


def _landed(value: LandedWork, _: dict[str, Any]) -> str:
    if value.before == value.commit:
        return f"{value.into} has all of {value.name} already"
    from mlxk.agent.tools.base import plural

    files = plural(len(value.files_changed), "file")
    return f"{value.into} is at {value.commit[:12]} ({files})\nundo    {value.undo}"


@command("branch land", _landed)
def branch_land(
    rev: Annotated[str, typer.Argument(help="A session, branch or commit of one.")],
    into: Annotated[
        str | None, typer.Option(help="Your branch to land on; default: the one checked out.")
    ] = None,
    branch: Annotated[str | None, typer.Option(help="Land on a new branch of this name.")] = None,
    merge: Annotated[
        bool, typer.Option("--merge/--squash", help="Keep each step, or make one commit (default).")
    ] = False,
    sign: Annotated[
        bool, typer.Option("--sign/--no-sign", help="Sign it if your git configuration says so.")
    ] = True,
) -> LandedWork:
    """Bring a session's work to a branch of yours: one commit under your name, or a merge.

    Everything is checked before anything is written: with a conflict, or uncommitted work in the
    way, nothing changes.

    mlxk branch land greet

    mlxk branch land greet --branch add-greeting --json | jq -r .data.commit
    """
    from mlxk.agent.landing import bring
    from mlxk.cli.branch import open_store
    from mlxk.contract.errors import UsageError
    from mlxk.history.record import find
    from mlxk.system.clock import now

    if into is not None and branch is not None:
        raise UsageError("--into an existing branch, or a new --branch: not both")
    with open_store() as store:
        place = find(store, rev)
        how: Literal["merge", "squash"] = "merge" if merge else "squash"
        landed = bring(store, place, now(), into=into, new=branch, how=how, sign=sign)
        undo = landed.undo(place.record.name, _git(store))
    return LandedWork(
        name=place.record.branch,
        session=place.record.id,
        into=landed.branch,
        before=landed.before,
        commit=landed.commit,
        files_changed=landed.files,
        checkouts=tuple(map(str, landed.checkouts)),
        undo=undo,
    )


def _git(store: "Store") -> str:
    """What is typed for git; with where a store of our own is."""
    import shlex

    return f"git --git-dir {shlex.quote(str(store.control))}" if store.is_own else "git"


def _taken_back(value: TakenBack, _: dict[str, Any]) -> str:
    from mlxk.agent.tools.base import plural

    files = plural(len(value.files_changed), "file")
    return f"{value.branch} is at {value.commit[:12]} ({files})\nagain   {value.undo}"


@command("branch unland", _taken_back)
def branch_unland(
    rev: Annotated[str, typer.Argument(help="A session, branch or commit of one.")],
    out_of: Annotated[
        str | None,
        typer.Option("--from", help="The branch it landed on; default: the one checked out."),
    ] = None,
    sign: Annotated[
        bool, typer.Option("--sign/--no-sign", help="Sign it if your git configuration says so.")
    ] = True,
) -> TakenBack:
    """Take a session's last landing back from a branch of yours. The session keeps its work.

    The branch goes back to where it was; after later commits or a push, a commit of yours reverts
    the landing and nothing else. With a conflict, or uncommitted work in the way, nothing changes.

    mlxk branch unland greet

    mlxk branch unland greet --from release --json | jq -r .data.commit
    """
    import shlex

    from mlxk.agent.landing import take_back
    from mlxk.cli.branch import open_store
    from mlxk.history.record import find
    from mlxk.system.clock import now

    with open_store() as store:
        record = find(store, rev).record
        back = take_back(store, record, now(), out_of=out_of, sign=sign)
    return TakenBack(
        name=record.branch,
        session=record.id,
        branch=back.branch,
        before=back.before or "",
        commit=back.commit,
        files_changed=back.files,
        checkouts=tuple(map(str, back.checkouts)),
        undo=f"mlxk branch land {shlex.quote(record.name)} --into {shlex.quote(back.branch)}",
    )


def _value(record: "Record", place: "Place", worktree: str) -> Created:
    from mlxk.agent.report import resume_line

    return Created(
        name=record.branch,
        session=record.id,
        parent=place.record.branch,
        step=place.step,
        commit=record.code,
        worktree=worktree,
        resume=resume_line(record.name),
    )
