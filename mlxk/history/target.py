"""A checkout of the user's that has a branch checked out, and is brought up to date when work
lands there.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mlxk.contract.errors import DirtyMerge, HistoryCorrupt, Locked
from mlxk.contract.notes import note
from mlxk.history import diff, index, journal
from mlxk.history.checkout import Checkout, shown, some
from mlxk.history.copying import Copying, delete
from mlxk.history.diff import Pair
from mlxk.history.folders import NEVER, Folder, Known
from mlxk.history.journal import Journal
from mlxk.history.packs import RawId
from mlxk.history.reading import entry_at
from mlxk.history.store import Store
from mlxk.system.files import locked_within

_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Move:
    """What a landing does to a branch."""

    ref: str
    before: str | None
    commit: str


class Target:
    """Written only while git's own index lock is held, and only when it is clean.

    Files and the new index are there before the branch moves; then one rename ends the landing.
    """

    def __init__(self, store: Store, root: Path, control: Path) -> None:
        self.root = root
        self.control = control
        self._lock = control / "index.lock"
        self._store = store
        self._saved = index.Index({}, ())
        self._pairs: tuple[Pair, ...] = ()
        self._new: RawId | None = None
        self._written: list[Pair] = []
        self._begun: Journal | None = None

    @contextmanager
    def held(self, move: Move, old: RawId | None, new: RawId) -> Iterator[None]:
        """Locked and clean (DirtyMerge), so that `write` may follow.

        Put back if anything fails before the branch has moved, never after.
        """
        self._take_lock(move)
        try:
            self._new = new
            self._pairs = tuple(diff.pairs(self._store, old, new))
            self.require_clean(old)
            yield
            self._publish()
        except BaseException:
            if self._store.refs.read(move.ref) == move.commit:
                self._publish()
            else:
                self._put_back(old)
            raise
        finally:
            self._lock.unlink(missing_ok=True)
            journal.end(self.control)

    def write(self) -> None:
        """The files that differ, and beside git's index the one that fits them."""
        if self._new is not None:
            self._apply(self._new, self._pairs)
            self._write_index()

    def unlock(self) -> None:
        """End what a landing that was killed had begun here. Locked: it is somebody else's."""
        begun = Journal.read(self.control)
        if begun is not None and begun.is_abandoned:
            if begun.locks(self._lock):
                self._begun = begun
                self._mend(begun)
            journal.end(self.control)
        if self._lock.exists():
            raise self._busy()

    def _take_lock(self, move: Move) -> None:
        self.unlock()
        try:
            self._begun = Journal.begin(self.control, move.ref, move.before, move.commit)
        except FileExistsError as e:
            raise self._busy() from e

    def _mend(self, begun: Journal) -> None:
        """Forward when the branch had moved, back when it had not. A file that is neither as it was
        nor as it was to be is somebody's own.
        """
        at = self._store.refs.read(begun.ref)
        try:
            before = self._store.tree_of(begun.before) if begun.before else None
            after = self._store.tree_of(begun.commit)
            if at == begun.commit:
                self._finish(after, tuple(diff.pairs(self._store, before, after)))
            elif at == begun.before and before is not None:
                self._finish(before, tuple(diff.pairs(self._store, after, before)))
        except HistoryCorrupt:
            pass  # killed before its objects were written, so before any file was
        self._lock.unlink(missing_ok=True)
        note("landing_mended", f"a landing in {self.root} that was killed has been cleared up")

    def _finish(self, tree: RawId, pairs: tuple[Pair, ...]) -> None:
        self._saved = index.read(self.control / "index")
        for path, old, new in pairs:
            found = entry_at(self._store, self.root, path, old or new)
            if found in (old, new):
                self._apply(tree, ((path, old, new),))
            elif new is not None:
                self._saved.entries[path] = Known(NEVER, new)
            else:
                self._saved.entries.pop(path, None)
        self._write_index()
        self._publish()

    def _write_index(self) -> None:
        data = index.encode(self._saved.entries.items(), assumed=self._saved.assumed)
        if self._begun is not None:
            self._begun.fill(self.control, data)

    def _busy(self) -> Locked:
        return Locked(
            f"git is at work in {self.root}, or was killed there: {self._lock} exists",
            path=str(self._lock),
            hint=f"wait for it; if no git runs there: rm {self._lock}, then git status",
        )

    def _publish(self) -> None:
        """The branch has moved: a failure here is no failure of the landing."""
        try:
            with suppress(FileNotFoundError):  # published before
                self._lock.rename(self.control / "index")
        except OSError as e:
            text = f"landed, but git's index in {self.root} is behind ({e}); git reset renews it"
            note("index_behind", text)

    def _apply(self, tree: RawId, pairs: tuple[Pair, ...]) -> None:
        """What is gone first: it may stand in the way."""
        copying = Copying(self._store, tree, None, Folder())
        for pair in sorted(pairs, key=lambda p: p[2] is not None):
            path, _, after = pair
            self._written.append(pair)
            if after is None:
                self._saved.entries.pop(path, None)
                delete(self.root, path)
            elif self._is_sparse(path):
                self._saved.entries[path] = Known(None, after)
            else:
                self._saved.entries[path] = copying.replace(self.root, path, after)

    def _put_back(self, old: RawId | None) -> None:
        if old is not None and self._written:
            back = tuple((path, after, before) for path, before, after in self._written)
            self._apply(old, back)

    def _is_sparse(self, path: bytes) -> bool:
        known = self._saved.entries.get(path)
        return known is not None and known.signature is None and path not in self._saved.assumed

    def require_clean(self, old: RawId | None) -> None:
        """DirtyMerge names what differs from the tree `old`, or is where a landing must write."""
        self._saved = index.read(self.control / "index")
        committed = dict(self._store.trees.walk(old)) if old else {}
        entries = self._saved.entries
        known = Folder.of(entries.items())
        found = Checkout(self.root, known, self._store, keep=False).scan()
        dirty = {path for path in found if path in entries} | set(self._saved.conflicts)
        dirty |= {p for p in committed.keys() | entries.keys() if _staged(entries, committed, p)}
        for path, before, after in self._pairs:
            if before is None and after is not None and self._occupied(path, entries):
                dirty.add(path)
        if dirty:
            names = sorted(shown(path) for path in dirty)
            raise DirtyMerge(
                f"{self.root} has uncommitted changes in {some(names)}",
                paths=names,
                hint="commit or stash them, or land on a new branch",
            )

    def _occupied(self, path: bytes, entries: dict[bytes, Known]) -> bool:
        """An untracked file is where a new one, or its folder, must go."""
        parts = path.split(b"/")
        places = (b"/".join(parts[:length]) for length in range(1, len(parts) + 1))
        for at in places:
            file = self.root / os.fsdecode(at)
            if at in entries or not os.path.lexists(file):
                continue
            is_folder = file.is_dir() and not file.is_symlink()
            if not is_folder or (at == path and not any(e.startswith(at + b"/") for e in entries)):
                return True
        return False


def targets(store: Store, ref: str) -> list[Target]:
    """The main worktree and the linked ones that have `ref` checked out. DirtyMerge while one of
    them rebases it.
    """
    found = list(_checkouts(store))
    for target in found:
        if _is_rebasing(target.control, ref):
            raise DirtyMerge(
                f"{ref.removeprefix('refs/heads/')} is being rebased in {target.root}",
                paths=[],
                hint="git rebase --continue or --abort, or land on a new branch",
            )
    return [target for target in found if _is_on(target.control, ref)]


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """One landing at a time, whatever `MLXK_HOME` it is from: they share the journal. Waits for a
    moment, then it is Locked.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked_within(store.common, _WAIT_S))
        except Locked as e:
            text = "another landing in this repository is under way"
            raise Locked(text, path=str(store.common), hint="try again when it is done") from e
        yield


def mend(store: Store) -> None:
    """End what killed landings had begun, wherever that was."""
    with suppress(Locked), alone(store):
        _mend(store)


def require_clean(store: Store, branch: str) -> None:
    """DirtyMerge when a checkout of `branch` is such that nothing could land there now."""
    ref = f"refs/heads/{branch}"
    with alone(store):
        _mend(store)
        at = store.refs.read(ref)
        for target in targets(store, ref):
            target.require_clean(store.tree_of(at) if at else None)


def _mend(store: Store) -> None:
    for target in _checkouts(store):
        if Journal.read(target.control) is not None:
            with suppress(Locked):
                target.unlock()


def _checkouts(store: Store) -> Iterator[Target]:
    if (main := _main_folder(store)) is not None:
        yield Target(store, main, store.common)
    for control in sorted((store.common / "worktrees").glob("*")):
        if (control / "gitdir").is_file():
            root = (control / (control / "gitdir").read_text().strip()).parent
            if root.is_dir():
                yield Target(store, root, control)


def _main_folder(store: Store) -> Path | None:
    """Of a submodule, or with git's folder elsewhere, only who stands in it can tell."""
    if store.root is not None and store.control == store.common:
        return store.root
    if store.flag("bare"):
        return None
    with suppress(KeyError):
        named = store.config.get((b"core",), b"worktree")
        return Path(os.path.realpath(store.common / os.fsdecode(named)))
    return store.common.parent if store.common.name == ".git" else None


def _is_rebasing(control: Path, ref: str) -> bool:
    for kind in ("rebase-merge", "rebase-apply"):
        with suppress(OSError):
            if (control / kind / "head-name").read_text().strip() == ref:
                return True
    return False


def _is_on(control: Path, ref: str) -> bool:
    try:
        return (control / "HEAD").read_text().strip() == f"ref: {ref}"
    except OSError:
        return False


def _staged(
    entries: dict[bytes, Known], committed: dict[bytes, tuple[int, RawId]], path: bytes
) -> bool:
    known = entries.get(path)
    return (known.entry if known else None) != committed.get(path)
