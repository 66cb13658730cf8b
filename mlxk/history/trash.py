"""Sessions that were removed: kept under refs/mlxk/trash until they are pruned.

Deletes no objects.
"""

import re
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from mlxk.contract.errors import (
    AlreadyExists,
    HistoryCorrupt,
    SessionBusy,
    SessionNotFound,
    StaleBranch,
    UnmergedBranch,
)
from mlxk.contract.notes import note
from mlxk.history import ledger, merge, record, worktree
from mlxk.history.record import SESSIONS, Record
from mlxk.history.session import Session
from mlxk.history.store import Store
from mlxk.history.target import mend

TRASH = "refs/mlxk/trash/"
_STAMP = "%Y%m%dT%H%M%SZ"
_HASH = re.compile("[0-9a-f]{12,40}")


@dataclass(frozen=True, slots=True)
class Discarded:
    record: Record
    ref: str
    when: datetime


def is_landed(store: Store, history: Record, onto: str | None) -> bool:
    """Whether landing on the commit `onto` would change nothing."""
    base, code = store.tree_of(history.base), store.tree_of(history.code)
    if base == code:
        return True
    if onto is None:
        return False
    ours = store.tree_of(onto)
    merged = merge.trees(store, base, ours, code)
    return merged.tree == ours and not merged.conflicts


def require_landed(store: Store, history: Record) -> None:
    """UnmergedBranch for work that what is checked out does not have."""
    if not is_landed(store, history, store.head()):
        raise UnmergedBranch(
            f"{history.branch} holds work that has not landed",
            hint=f"mlxk branch land {history.name}, or remove it with --force",
        )


def discard(store: Store, history: Record, when: datetime) -> Discarded:
    """Take the session's branch, ref and worktree away; the trash keeps its history.

    What a killed run left uncommitted becomes a step first. SessionBusy; StaleBranch when the
    session or its branch is not what `history` says: then nothing is discarded.
    """
    ref = f"{TRASH}{when.astimezone(UTC):{_STAMP}}-{history.id}"
    with ledger.holding(store, history.id) as held:
        _require(store.refs.read(SESSIONS + history.id) == history.head, history)
        if worktree.places(store, history.id).folder.is_dir():
            session = Session.resumed(history, held, when)
            history = session.record
            _move(store, history, ref)
            session.retire()
        else:
            history = ledger.heal(history, when)
            _move(store, history, ref)
            worktree.remove(store, history.id)
    return Discarded(history, ref, when)


def discarded(store: Store) -> tuple[Discarded, ...]:
    """What the trash holds, oldest first."""
    found = []
    for ref, head in store.refs.under(TRASH):
        stamp = ref.removeprefix(TRASH).partition("-")[0]
        when = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
        try:
            found.append(Discarded(record.load(store, head), ref, when))
        except HistoryCorrupt as e:
            note("damaged_session", f"{ref}: {e}")
    return tuple(found)


def restore(store: Store, spec: str) -> Record:
    """Bring the last discarded session of this id or name back; or, by the hash of its last session
    commit, one that was pruned and that git's gc has not taken yet.

    SessionNotFound, AlreadyExists, HistoryCorrupt.
    """
    wanted = spec.removeprefix("mlxk/")
    in_trash = discarded(store)
    found = [d for d in in_trash if wanted in (d.record.id, d.record.name)]
    gone = found[-1].record if found else _pruned(store, spec)
    if gone is None:
        hint = "mlxk branch list --trash" if in_trash else None
        names = [d.record.name for d in in_trash]
        there = f", which holds {', '.join(names[-5:])}" if names else ""
        raise SessionNotFound(
            f"no session {spec!r} is in the trash{there}", spec=spec, trash=names, hint=hint
        )
    try:
        ledger.refuse_taken(store, gone.name)
    except AlreadyExists as e:
        again = gone.id if found else gone.head
        e.hint = f"mlxk branch rm --force {gone.name} && mlxk branch restore {again}"
        raise
    history = ledger.publish(store, gone.head)
    for last in found[-1:]:
        store.refs.drop(last.ref, gone.head)
    return history


def _pruned(store: Store, spec: str) -> Record | None:
    """The session whose last commit this is, if it is whole."""
    if not _HASH.fullmatch(spec):
        return None
    for commit in store.ids(spec):
        with suppress(HistoryCorrupt, ValueError):
            history = record.load(store, commit)
            history.steps()
            history.lines()
            return history
    return None


def prune(store: Store, before: datetime) -> tuple[Discarded, ...]:
    """Forget what was discarded before then, and sweep up what killed runs left; git's gc does the
    rest.
    """
    gone = tuple(d for d in discarded(store) if d.when < before)
    for old in gone:
        store.refs.drop(old.ref, old.record.head)
    for session in worktree.registered(store):
        _remove_orphan(store, session)
    store.writer.sweep()
    mend(store)
    return gone


def _move(store: Store, history: Record, ref: str) -> None:
    """From its two refs to `ref`. The session's own goes last: until then the session is whole."""
    branch, own = f"refs/heads/{history.branch}", SESSIONS + history.id
    with ExitStack() as back:
        _require(store.refs.swap(ref, None, history.head, ours=True), history)
        back.callback(store.refs.drop, ref, history.head)
        if store.refs.read(branch) is not None:
            _require(store.refs.drop(branch, history.code), history)
            back.callback(store.refs.swap, branch, None, history.code, ours=True)
        _require(store.refs.drop(own, history.head), history)
        back.pop_all()


def _require(moved: bool, history: Record) -> None:
    if not moved:
        raise StaleBranch(
            f"{history.branch} or its session was moved meanwhile, so it is not discarded",
            name=history.name,
            hint=f"look at it again; to keep other commits: git branch -m {history.branch} NAME",
        )


def _remove_orphan(store: Store, session: str) -> None:
    """The worktree of a session that does not exist and is not just being started."""
    with suppress(SessionBusy), ledger.holding(store, session):
        if store.refs.read(SESSIONS + session) is None:
            worktree.remove(store, session)
