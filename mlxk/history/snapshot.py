"""Where a session starts: HEAD and what the user has not committed yet.

Reads the checkout, writes only objects.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from mlxk.contract.errors import DirtyMerge
from mlxk.contract.notes import note
from mlxk.history import commits, index
from mlxk.history.checkout import Checkout, Found, shown, some
from mlxk.history.folders import Folder
from mlxk.history.packs import RawId
from mlxk.history.store import Store
from mlxk.history.trees import FOLDER, SUBMODULE, Entry

_NOTHING = Folder()
_MISSING = (0, b"")


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
        known = Folder.of(staged.entries.items())
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
            f"a merge has conflicts in {some(names)}",
            paths=names,
            hint="finish the merge, or start with --clean from HEAD",
        )
    if store.root is None:
        return base
    changes: Found = dict(_staged(store, base, known))
    changes.update(Checkout(store.root, known, store).scan())
    return store.trees.updated(base, changes) if changes else base


def _staged(
    store: Store, tree: RawId | None, folder: Folder, prefix: bytes = b""
) -> Iterator[tuple[bytes, Entry | None]]:
    """How the index differs from HEAD."""
    committed = store.trees.entries(tree) if tree else {}
    for name, known in folder.files.items():
        if committed.get(name) != known.entry:
            yield prefix + name, known.entry
    for name, (mode, raw) in committed.items():
        if mode == FOLDER:
            below = folder.folders.get(name, _NOTHING)
            yield from _staged(store, raw, below, prefix + name + b"/")
        elif name not in folder.files:
            yield prefix + name, None
    for name, below in folder.folders.items():
        if committed.get(name, _MISSING)[0] != FOLDER:
            yield from _staged(store, None, below, prefix + name + b"/")


def _commit(store: Store, tree: RawId, head: str | None, when: datetime) -> str:
    where = store.head_name() or "a detached HEAD"
    text = commits.message(f"start: uncommitted work on {where}", "", {})
    data = commits.encode(tree, [head] if head else [], when, text)
    return store.writer.add(b"commit", data).hex()


def _mention_submodules(store: Store, tree: RawId) -> None:
    names = [shown(path) for path, entry in store.trees.walk(tree) if entry[0] == SUBMODULE]
    if names:
        note("submodules", f"files of submodules are not in the worktree: {some(names)}")
