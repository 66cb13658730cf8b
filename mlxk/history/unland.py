"""Takes a landing back from a branch of the user's: all of it or nothing, and nothing else."""

from dataclasses import dataclass
from datetime import datetime

from mlxk.contract.errors import BranchNotFound, MergeConflict, NotFound
from mlxk.history import commits, diff, land, merge, refs, snapshot
from mlxk.history.checkout import shown, some
from mlxk.history.land import Landed
from mlxk.history.landings import UNDOES, landings
from mlxk.history.packs import RawId
from mlxk.history.record import Record
from mlxk.history.signing import Signer
from mlxk.history.store import Store
from mlxk.history.target import Move, alone, targets


@dataclass(frozen=True, slots=True)
class Order:
    """Whose last landing to take back, from where."""

    record: Record
    branch: str
    author: str  # `Name <email>`, as the user's git has it
    when: datetime
    sign: Signer | None = None


def unland(store: Store, order: Order) -> Landed:
    """The branch goes back when nothing was built on the landing, else a commit reverts it.

    NotFound when nothing of the session landed there; MergeConflict, DirtyMerge and Locked change
    nothing.
    """
    with alone(store):
        return _unland(store, order)


def _unland(store: Store, order: Order) -> Landed:
    ref = refs.check(f"refs/heads/{order.branch}")
    if store.is_own:
        snapshot.settle(store, order.when)
    tip = store.refs.read(ref)
    if tip is None:
        raise BranchNotFound(f"there is no branch {order.branch}", name=order.branch)
    landing = _landing(store, order, tip)
    parents = commits.decode(store.read_commit(landing)).parents
    back = store.tree_of(parents[0]) if parents else store.trees.write({})
    if landing == tip and parents and not _is_published(store, landing):
        new, commit = back, parents[0]
    else:
        new = _without(store, order, landing, tip, back)
        commit = _revert(store, order, landing, new, tip)
    to, there = Move(ref, tip, commit), targets(store, ref)
    land.move(store, there, to, store.tree_of(tip), new)
    stamp = f"{order.author} {int(order.when.timestamp())} +0000"
    land.write_reflogs(store, there, to, f"{stamp}\tunland: {order.record.branch}")
    files = diff.changes(store, tip, commit)
    return Landed(order.branch, commit, tip, files, tuple(target.root for target in there))


def _landing(store: Store, order: Order, tip: str) -> str:
    """The session's last landing on the branch that was not taken back already."""
    for at, commit in landings(store, order.record, tip):
        if commit.trailers[commits.SESSION] == order.record.id:
            return at
    raise NotFound(
        f"nothing of {order.record.branch} has landed on {order.branch}",
        hint=f"mlxk branch unland {order.record.name} --from BRANCH",
    )


def _is_published(store: Store, commit: str) -> bool:
    return any(at == commit for _, at in store.refs.under("refs/remotes/"))


def _without(store: Store, order: Order, landing: str, tip: str, back: RawId) -> RawId:
    """The files of the branch without what the landing did to them."""
    merged = merge.trees(store, store.tree_of(landing), store.tree_of(tip), back)
    if merged.conflicts:
        names = [shown(path) for path in merged.conflicts]
        raise MergeConflict(
            f"what landed was changed since in {some(names)}",
            paths=names,
            hint=f"git revert {landing[:12]}",
        )
    return merged.tree


def _revert(store: Store, order: Order, landing: str, tree: RawId, tip: str) -> str:
    subject = commits.decode(store.read_commit(landing)).subject
    text = commits.message(f'Revert "{subject}"', "", {UNDOES: landing})
    data = commits.encode(tree, [tip], order.when, text, author=order.author)
    if order.sign is not None:
        data = commits.signed(data, order.sign(data))
    return store.writer.add(b"commit", data).hex()
