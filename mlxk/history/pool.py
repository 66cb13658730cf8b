"""Worktrees that were put away, to be taken for another session: only what differs is written.

A worktree in the pool belongs to nobody. It is taken by one rename, and only while no process is
in it; what a kill leaves half done is cleared away the next time.
"""

import marshal
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlxk.contract.errors import HistoryCorrupt, UnsafePath
from mlxk.history import diff
from mlxk.history.cloning import INSIDE, signature
from mlxk.history.copying import Copying, delete
from mlxk.history.disk import scrap
from mlxk.history.folders import NEVER, Folder, Known
from mlxk.history.packs import RawId
from mlxk.history.store import Store
from mlxk.history.trees import SUBMODULE, Entry
from mlxk.system.files import translated

_MOST = 2
_FORMAT = 1
_Packed = tuple[dict[bytes, Any], dict[bytes, Any]]  # files, folders


def retire(store: Store, folder: Path, tree: RawId, known: Folder) -> None:
    """Put a worktree away that holds `tree` as `known`, unless it is no use to another."""
    if sys.platform != "linux" or not _is_plain(known):
        return
    slot = _pool(store) / secrets.token_hex(8)
    mine = _taken(slot)
    with translated(slot):
        mine.mkdir(parents=True)
        (mine / "known").write_bytes(marshal.dumps((_FORMAT, tree, _packed(known))))
        (folder / ".git").unlink(missing_ok=True)
        folder.rename(mine / "files")
        mine.rename(slot)
    sweep(store)


def take(store: Store, target: Path, tree: RawId) -> Folder | None:
    """Make `target` of a worktree in the pool, with the files of `tree`; None if none will do."""
    for slot in _slots(store):
        mine = _taken(slot)
        try:
            slot.rename(mine)
        except FileNotFoundError:  # somebody else was faster
            continue
        try:
            if not _is_busy(mine) and (known := _rewritten(store, mine, tree)) is not None:
                (mine / "files").rename(target)
                return known
        except (HistoryCorrupt, UnsafePath, OSError, ValueError, EOFError, TypeError):
            continue  # whatever is wrong with it, a new one is always right
        finally:
            scrap(mine)
    return None


def sweep(store: Store) -> None:
    """Away with what is too much, and with what killed processes had taken."""
    for slot in _slots(store)[_MOST:]:
        scrap(slot)
    for taken in _pool(store).glob(".*"):
        pid = taken.name.split(".")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            scrap(taken)


def _pool(store: Store) -> Path:
    return store.home / "pool" / store.key


def _taken(slot: Path) -> Path:
    """Where it is out of the sight of others as long as this process lives."""
    return slot.with_name(f".{os.getpid()}.{slot.name}")


def _slots(store: Store) -> list[Path]:
    """The latest first."""
    found = []
    for slot in _pool(store).glob("[!.]*"):
        with suppress(FileNotFoundError):
            found.append((slot.stat().st_mtime_ns, slot))
    return [slot for _, slot in sorted(found, reverse=True)]


def _is_plain(known: Folder) -> bool:
    """Neither sparse nor with submodules: every file is there and compares by its signature."""
    return all(
        found.signature is not None and found.entry is not None and found.entry[0] != SUBMODULE
        for _, found in known.walk()
    )


def _rewritten(store: Store, slot: Path, tree: RawId) -> Folder | None:
    form, old, packed = marshal.loads((slot / "known").read_bytes())
    if form != _FORMAT:
        return None
    known, root = _unpacked(packed), slot / "files"
    wanted: dict[bytes, Entry | None] = {
        path: after for path, _, after in diff.pairs(store, old, tree)
    }
    if any(p.endswith(b".gitattributes") or (e and e[0] == SUBMODULE) for p, e in wanted.items()):
        return None  # files that did not change may have other line endings now
    fd = os.open(root, INSIDE)
    try:
        for path in _stale(known, fd, b""):
            wanted.setdefault(path, store.trees.find(tree, path))
    finally:
        os.close(fd)
    copying = Copying(store, tree, None, Folder())
    if any(copying.is_filtered(path) for path in wanted):
        return None  # only the user's checkout has such a file as it is to be
    for path in sorted(wanted, key=lambda p: wanted[p] is not None):
        entry = wanted[path]
        if entry is None:
            delete(root, path)
            known.pop(path)
        else:
            # Written a moment ago: the next look reads it.
            known.put(path, Known(NEVER, copying.replace(root, path, entry).entry))
    return known


def _stale(known: Folder, fd: int, prefix: bytes) -> Iterator[bytes]:
    """Files that do not look as they are known; whatever is not known is deleted."""
    if (mode := os.fstat(fd).st_mode) & 0o700 != 0o700:
        os.fchmod(fd, stat.S_IMODE(mode) | 0o700)
    for stranger in (
        {*os.listdir(b"/proc/self/fd/%d" % fd)} - known.files.keys() - known.folders.keys()  # noqa: PTH208
    ):
        _remove(stranger, fd)
    look = os.stat
    for name, (wanted, _) in known.files.items():
        try:
            info = look(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            yield prefix + name
            continue
        if (
            info.st_ctime_ns != (wanted or NEVER)[1]
            or info.st_nlink > 1
            or signature(info) != wanted
        ):
            if stat.S_ISDIR(info.st_mode):
                _remove(name, fd)
            yield prefix + name
    for name, below in known.folders.items():
        yield from _stale_below(below, fd, prefix, name)


def _stale_below(below: Folder, fd: int, prefix: bytes, name: bytes) -> Iterator[bytes]:
    try:
        inner = os.open(name, INSIDE, dir_fd=fd)
    except OSError:  # gone, or something else stands there
        with suppress(FileNotFoundError):
            _remove(name, fd)
        yield from (prefix + name + b"/" + path for path, _ in below.walk())
        return
    try:
        yield from _stale(below, inner, prefix + name + b"/")
    finally:
        os.close(inner)


def _remove(name: bytes, fd: int) -> None:
    if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
        shutil.rmtree(name, dir_fd=fd)
    else:
        os.unlink(name, dir_fd=fd)


def _is_busy(slot: Path) -> bool:
    """Whether a process of ours stands in it or has a file of it open."""
    inside = f"{slot.resolve()}/"
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        with suppress(OSError):  # it has ended, or is not ours
            own = f"/proc/{pid}"
            for place in (f"{own}/cwd", *(f"{own}/fd/{n}" for n in os.listdir(f"{own}/fd"))):  # noqa: PTH208
                with suppress(OSError):
                    if f"{os.readlink(place)}/".startswith(inside):  # noqa: PTH115
                        return True
    return False


def _packed(folder: Folder) -> _Packed:
    files = {name: tuple(known) for name, known in folder.files.items()}
    return files, {name: _packed(below) for name, below in folder.folders.items()}


def _unpacked(packed: _Packed) -> Folder:
    files, folders = packed
    folder = Folder()
    folder.files = {name: Known(*known) for name, known in files.items()}
    folder.folders = {name: _unpacked(below) for name, below in folders.items()}
    return folder
