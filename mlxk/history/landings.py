"""Which commits of a branch of the user's are landings, and what of a session they brought."""

import re
from collections.abc import Iterator

from mlxk.history import commits
from mlxk.history.commits import Commit
from mlxk.history.record import Place, Record
from mlxk.history.store import Store

UNDOES = "Mlxk-Undoes"
_REVERTS = re.compile(r"This reverts commit ([0-9a-f]{40})")
_MOST = 10_000  # commits that are looked at


def landings(store: Store, record: Record, tip: str) -> Iterator[tuple[str, Commit]]:
    """Since the session's start, newest first, of any session: those that were not taken back."""
    first, undone = origin(store, record.base), set[str]()
    at: str | None = tip
    for _ in range(_MOST):
        if at is None or at == first:
            return
        commit = commits.decode(store.read_commit(at))
        undone |= {commit.trailers.get(UNDOES, ""), *_REVERTS.findall(commit.message)}
        is_landing = commits.SESSION in commit.trailers and commit.author != commits.IDENTITY
        if is_landing and at not in undone:
            yield at, commit
        at = commit.parents[0] if commit.parents else None


def landed(store: Store, place: Place, tip: str | None) -> str:
    """The code of the session, or of the one it was forked from, that the branch has already: its
    base when nothing has landed there.
    """
    record = place.record
    for _, commit in landings(store, record, tip) if tip else ():
        session, step = commit.trailers[commits.SESSION], commit.trailers.get(commits.STEP, "")
        past = {record.id: record.step, record.parent: record.parent_step or 0}
        if step.isdecimal() and int(step) <= past.get(session, -1):
            return record.at(int(step)).code
    return record.base


def origin(store: Store, base: str) -> str | None:
    """The user's own commit below a session's `base`; None on an unborn branch."""
    commit = commits.decode(store.read_commit(base))
    if commit.author != commits.IDENTITY:
        return base
    return commit.parents[0] if commit.parents else None
