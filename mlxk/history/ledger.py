"""Writes session commits and moves a session's two refs: the private one is the truth, the branch
follows it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime

from mlxk.contract.errors import AlreadyExists, Locked, SessionBusy, StaleBranch
from mlxk.contract.notes import note
from mlxk.history import commits, diff, liveness, record, refs
from mlxk.history.packs import RawId
from mlxk.history.record import SESSIONS, Record
from mlxk.history.store import Store
from mlxk.system.files import locked_within

_PROBED_S = 0.2  # who asks whether a session is held has its lock for a moment


def commit(store: Store, tree: RawId, parents: Sequence[str], when: datetime, message: str) -> str:
    return store.writer.add(b"commit", commits.encode(tree, parents, when, message)).hex()


@contextmanager
def holding(store: Store, session: str) -> Iterator[ExitStack]:
    with ExitStack() as held:
        try:
            for lock in liveness.locks(store, session):
                held.enter_context(locked_within(lock, _PROBED_S))
        except Locked as e:
            raise SessionBusy(
                f"another process is writing session {session}",
                session=session,
                hint=f"wait for it, or work beside it: mlxk branch create {session}",
            ) from e
        yield held


def facts(history: Record) -> Mapping[str, str]:
    """What every session commit says of itself, so that a listing reads nothing else."""
    parent = f"{history.parent}@{history.parent_step}" if history.parent else ""
    rests = "" if history.rests is None else "yes" if history.rests else "no"
    return {
        commits.SESSION: history.id,
        commits.STEP: str(history.step),
        commits.BRANCH: history.branch,
        commits.BASE: history.base,
        commits.PARENT: parent,
        commits.COMMITS: "" if history.commits is None else str(history.commits),
        commits.RESTS: rests,
        commits.MODEL: history.model or "",
    }


def refuse_taken(store: Store, name: str) -> None:
    """AlreadyExists when a branch has this name; InvalidValue when git would not take it."""
    ref = refs.check(f"refs/heads/mlxk/{name}")
    if store.refs.read(ref) or any(r.name == name for r in record.records(store)):
        raise AlreadyExists(f"the branch mlxk/{name} exists", name=name, hint="choose another name")


def publish(store: Store, head: str) -> Record:
    """Make a new session visible, whose first commit is `head`."""
    history = record.load(store, head)
    store.writer.flush()
    if not store.refs.swap(SESSIONS + history.id, None, head, ours=True):
        raise AlreadyExists(f"the session {history.id} exists", name=history.name)
    try:
        if not store.refs.swap(_branch(history), None, history.code, ours=True):
            raise AlreadyExists(f"the branch {history.branch} exists", name=history.name)
    except BaseException:
        store.refs.drop(SESSIONS + history.id, head)
        raise
    store.writer.release()
    return history


def withdraw(history: Record) -> None:
    """Take a session back that never began."""
    history.store.refs.drop(_branch(history), history.code)
    history.store.refs.drop(SESSIONS + history.id, history.head)


def advance(history: Record, after: Record) -> Record:
    """Move the session to its next step. StaleBranch when somebody else has moved it."""
    store = history.store
    store.writer.flush()
    if not store.refs.swap(SESSIONS + history.id, history.head, after.head, ours=True):
        raise StaleBranch(f"session {history.name} was moved by another program", name=history.name)
    if after.code != history.code:
        _follow(history, after.code)
    store.writer.release()
    return after


def heal(history: Record, when: datetime) -> Record:
    """Bring the branch back to the session, or take in what a person committed on top of it."""
    store, branch = history.store, _branch(history)
    at = store.refs.read(branch)
    if at == history.code:
        return history
    if at is None or diff.is_ancestor(store, at, history.code):
        store.refs.swap(branch, at, history.code, ours=True)
        return history
    if not diff.is_ancestor(store, history.code, at):
        _mention_moved(history)
        return history
    after = replace(history, code=at, step=history.step + 1, when=when, commits=None)
    text = commits.message(f"take in commits made on {history.branch}", "", facts(after))
    tree = store.tree_of(history.head)
    head = commit(store, tree, [history.head, at], when, text)
    return advance(replace(history, code=at), replace(after, head=head))


def _follow(history: Record, code: str) -> None:
    refs_ = history.store.refs
    try:
        moved = refs_.swap(_branch(history), history.code, code, ours=True, durable=False)
    except Locked:
        moved = False
    if not moved:
        _mention_moved(history)


def _branch(history: Record) -> str:
    return f"refs/heads/{history.branch}"


def _mention_moved(history: Record) -> None:
    text = f"{history.branch} was moved by somebody else and is left there; the session goes on"
    note("branch_moved", text)
