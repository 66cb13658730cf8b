"""Brings what a session changed onto a branch of the user's: all of it or nothing. Asks nobody."""

import shlex
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from mlxk.contract.errors import (
    AlreadyExists,
    BranchNotFound,
    InvalidValue,
    MergeConflict,
    StaleBranch,
)
from mlxk.contract.notes import note
from mlxk.history import commits, diff, merge, refs, snapshot
from mlxk.history.checkout import shown, some
from mlxk.history.landings import landed, origin
from mlxk.history.packs import RawId
from mlxk.history.record import Place
from mlxk.history.signing import Signer
from mlxk.history.store import Store
from mlxk.history.target import Move, Target, alone, targets

How = Literal["squash", "merge"]


@dataclass(frozen=True, slots=True)
class Order:
    """What to land and where.

    `create` makes `branch` at the commit that the session started from.
    """

    place: Place
    branch: str
    author: str  # `Name <email>`, as the user's git has it
    when: datetime
    subject: str = ""
    body: str = ""
    how: How = "squash"
    create: bool = False
    sign: Signer | None = None


@dataclass(frozen=True, slots=True)
class Landed:
    branch: str
    commit: str  # where the branch is now
    before: str | None
    files: tuple[diff.FileChange, ...]
    checkouts: tuple[Path, ...]  # folders whose files were brought up to date

    def undo(self, session: str, git: str = "git") -> str | None:
        """What to type to take it back; None when there was nothing to land."""
        branch = shlex.quote(self.branch)
        if self.before is None and not self.checkouts:
            return f"{git} branch -D {branch}"
        if self.before == self.commit:
            return None
        return f"mlxk branch unland {shlex.quote(session)} --from {branch}"


def land(store: Store, order: Order) -> Landed:
    """MergeConflict lists the paths, DirtyMerge names the checkout in the way, SigningFailed says
    what is missing, Locked that another landing takes long: all change nothing.
    """
    with alone(store):
        return _land(store, order)


def _land(store: Store, order: Order) -> Landed:
    ref = refs.check(f"refs/heads/{order.branch}")
    if store.is_own:
        snapshot.settle(store, order.when)
    before = _before(store, ref, order)
    tip = before or origin(store, order.place.record.base)
    merged = _merged(store, order, tip)
    there = targets(store, ref)
    if before and merged == store.tree_of(before):
        for target in there:
            target.unlock()
        return Landed(order.branch, before, before, (), ())
    commit = _commit(store, order, merged, tip)
    old = store.tree_of(before) if before else None
    files = diff.changes(store, tip, commit)
    move(store, there, Move(ref, before, commit), old, merged)
    stamp = f"{order.author} {int(order.when.timestamp())} +0000"
    why = f"{stamp}\tland: {order.place.record.branch}"
    write_reflogs(store, there, Move(ref, before, commit), why)
    return Landed(order.branch, commit, before, files, tuple(t.root for t in there))


def move(store: Store, there: list[Target], to: Move, old: RawId | None, new: RawId) -> None:
    """The branch and the checkouts that are on it, from the tree `old` to `new`; or nothing."""
    with ExitStack() as stack:
        for target in there:
            stack.enter_context(target.held(to, old, new))
        store.writer.flush()
        for target in there:
            target.write()
        if not store.refs.swap(to.ref, to.before, to.commit):
            name = to.ref.removeprefix("refs/heads/")
            raise StaleBranch(f"{name} moved meanwhile", name=name)
    store.writer.release()


def _before(store: Store, ref: str, order: Order) -> str | None:
    """Where the target is now; None when it is to be made."""
    if order.branch.startswith("mlxk/"):
        hint = "--branch with another name"
        raise InvalidValue(f"{order.branch} belongs to a session", name=order.branch, hint=hint)
    at = store.refs.read(ref)
    if order.create and at:
        hint = f"--into {order.branch}, or another name"
        raise AlreadyExists(f"the branch {order.branch} exists", name=order.branch, hint=hint)
    if not order.create and at is None:
        hint = f"--branch {order.branch} makes it"
        raise BranchNotFound(f"there is no branch {order.branch}", name=order.branch, hint=hint)
    return at


def _merged(store: Store, order: Order, tip: str | None) -> RawId:
    start, end = order.place.record.base, order.place.code
    if order.how == "merge" and start != origin(store, order.place.record.base):
        raise InvalidValue(
            "the session started from uncommitted work, which a merge would commit too",
            hint="land it squashed",
        )
    ours = store.tree_of(tip) if tip else None
    since = landed(store, order.place, tip)
    merged = merge.trees(store, store.tree_of(since), ours, store.tree_of(end))
    if merged.conflicts:
        names = [shown(path) for path in merged.conflicts]
        name, own = order.place.record.name, start != origin(store, start)
        elsewhere = f"mlxk branch land {name} --branch NEW, then git merge NEW"
        raise MergeConflict(
            f"{order.branch} and {order.place.record.branch} both changed {some(names)}",
            paths=names,
            hint="commit your own work first, then land again" if own else elsewhere,
        )
    return merged.tree


def _commit(store: Store, order: Order, tree: RawId, tip: str | None) -> str:
    record = order.place.record
    parents = [tip] if tip else []
    if order.how == "merge":
        parents.append(order.place.code)
    facts = {commits.SESSION: record.id, commits.STEP: str(order.place.step)}
    text = commits.message(order.subject or f"land {record.branch}", order.body, facts)
    data = commits.encode(tree, parents, order.when, text, author=order.author)
    if order.sign is not None:
        data = commits.signed(data, order.sign(data))
    return store.writer.add(b"commit", data).hex()


def write_reflogs(store: Store, there: list[Target], to: Move, who_and_why: str) -> None:
    """As git does, so that `git reset --hard HEAD@{1}` takes the landing back.

    The branch has moved: a log that cannot be written is no failure of the landing.
    """
    line = f"{to.before or '0' * 40} {to.commit} {who_and_why}\n"
    logs = [store.common / "logs" / to.ref]
    for log in logs + [target.control / "logs/HEAD" for target in there]:
        if log.parent.is_dir() and (log.exists() or log is logs[0]):
            try:
                with log.open("a") as file:
                    file.write(line)
            except OSError as e:
                note("reflog_not_written", f"done, but not in git's reflog: {e}")
