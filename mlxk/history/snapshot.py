"""Where a session starts: HEAD and what the user has not committed yet.

Reads the checkout, writes only objects.
"""

from dataclasses import dataclass
from datetime import datetime

from mlxk.contract.errors import DirtyMerge
from mlxk.contract.notes import note
from mlxk.history import commits, index
from mlxk.history.checkout import Checkout, Found, shown
from mlxk.history.folders import Folder
from mlxk.history.packs import RawId
from mlxk.history.store import Store
from mlxk.history.trees import SUBMODULE


@dataclass(frozen=True, slots=True)
class Start:
    code: str  # W_0
    tree: RawId
    known: Folder | None  # what the user's checkout holds; None in a bare repository


def take(store: Store, *, clean: bool, when: datetime) -> Start:
    """`clean` starts from HEAD alone. DirtyMerge while a merge has conflicts."""
    head = store.head()
    base = store.tree_of(head) if head else None
    known = None
    tree = base
    if store.root is not None:
        staged = index.read(store.control / "index")
        known = Folder()
        for path, entry in staged.entries.items():
            known.put(path, entry)
        if not clean:
            tree = _with_changes(store, base, staged, known)
    if tree is None:
        tree = store.trees.write({})
    if b".gitmodules" in store.trees.entries(tree):
        _mention_submodules(store, tree)
    if store.is_own and known is not None:
        store.writer.flush()  # the index is believed the next time: its objects go first
        index.write(store.control / "index", known.walk())
    if head and tree == base:
        return Start(head, tree, known)
    return Start(_commit(store, tree, head, when), tree, known)


def settle(store: Store, when: datetime) -> None:
    """In a store of our own: its branch is what the folder holds now."""
    before, name = store.head(), store.head_name() or "main"
    start = take(store, clean=False, when=when)
    store.writer.flush()
    if before is None or start.tree != store.tree_of(before):
        store.refs.swap(f"refs/heads/{name}", before, start.code)
    store.writer.release()


def _with_changes(
    store: Store, base: RawId | None, staged: index.Index, known: Folder
) -> RawId | None:
    if staged.conflicts:
        names = [shown(path) for path in staged.conflicts]
        raise DirtyMerge(
            f"a merge has conflicts in {', '.join(names[:5])}",
            paths=names,
            hint="finish the merge, or start with --clean from HEAD",
        )
    if store.root is None:
        return base
    changes = _staged(store, base, staged)
    changes.update(Checkout(store.root, known, store).scan())
    return store.trees.updated(base, changes) if changes else base


def _staged(store: Store, base: RawId | None, staged: index.Index) -> Found:
    """How the index differs from HEAD."""
    committed = dict(store.trees.walk(base)) if base else {}
    changes: Found = {
        path: known.entry
        for path, known in staged.entries.items()
        if committed.get(path) != known.entry
    }
    changes.update({path: None for path in committed if path not in staged.entries})
    return changes


def _commit(store: Store, tree: RawId, head: str | None, when: datetime) -> str:
    where = store.head_name() or "a detached HEAD"
    text = commits.message(f"start: uncommitted work on {where}", "", {})
    data = commits.encode(tree, [head] if head else [], when, text)
    return store.writer.add(b"commit", data).hex()


def _mention_submodules(store: Store, tree: RawId) -> None:
    names = [shown(path) for path, entry in store.trees.walk(tree) if entry[0] == SUBMODULE]
    if names:
        note("submodules", f"files of submodules are not in the worktree: {', '.join(names[:5])}")
