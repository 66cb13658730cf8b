"""Fills an empty folder with the files of a tree, taking clean ones from a checkout.

Knows no sessions.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

from mlxk.contract.errors import UnsafePath
from mlxk.contract.notes import note
from mlxk.history.attributes import Attributes
from mlxk.history.checkout import shown
from mlxk.history.disk import write_all
from mlxk.history.folders import NEVER, Folder, Known, signature
from mlxk.history.packs import RawId
from mlxk.history.store import Store
from mlxk.history.trees import EXECUTABLE, FOLDER, LINK, SUBMODULE, Entry
from mlxk.system.files import reflink, translated

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TICK = 0.05  # longer than any file system's clock stands still
_WORTH_CLONING = 1 << 16


class Copying:
    """One run. `source` and `known` describe the checkout whose clean files may be copied."""

    def __init__(self, store: Store, tree: RawId, source: Path | None, known: Folder) -> None:
        self._store = store
        self._tree = tree
        self._source = os.fsencode(source) + b"/" if source else None
        self._known = known
        self._attributes = Attributes(self._attributes_file, store.common, store.config)
        self._filters = self._attributes.may_filter

    def into(self, target: Path) -> Folder:
        """Write every file below the new folder `target`; what is then known of it."""
        result = Folder()
        with translated(target):
            target.mkdir(parents=True, mode=0o777)
            self._folder(self._tree, os.fsencode(target) + b"/", b"", result, self._known)
        if not self._filters:
            result.distrust_recent(lambda _: False)
            return result
        # What cannot be read again is believed: from here on a change shows another time.
        result.distrust_recent(self._attributes.is_filtered)
        time.sleep(_TICK)
        return result

    def is_filtered(self, path: bytes) -> bool:
        return self._attributes.is_filtered(path)

    def replace(self, root: Path, path: bytes, entry: Entry) -> Known:
        """Write one file of an existing checkout: whole or not at all."""
        _check(b"", path.rpartition(b"/")[2])
        target = os.fsencode(root) + b"/" + path
        temporary = target + b".mlxk.%d" % os.getpid()
        with translated(root):
            os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
            try:
                known = self._file(temporary, path, entry, None)
                os.rename(temporary, target)  # noqa: PTH104
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)  # noqa: PTH108
                raise
        return Known(signature(os.lstat(target)), known.entry)

    def _folder(
        self, tree: RawId, target: bytes, prefix: bytes, result: Folder, known: Folder | None
    ) -> None:
        for name, entry in self._store.trees.entries(tree).items():
            _check(prefix, name)
            path = prefix + name
            if name == b".gitattributes" and entry[0] != FOLDER:
                self._filters |= b"filter" in self._store.read_blob(entry[1])
            if entry[0] == FOLDER:
                with suppress(FileExistsError):
                    os.mkdir(target + path)  # noqa: PTH102
                below = known.folders.get(name) if known else None
                inner = result.folders[name] = Folder()
                self._folder(entry[1], target, path + b"/", inner, below)
            else:
                source = known.files.get(name) if known else None
                result.files[name] = self._file(target + path, path, entry, source)

    def _file(self, target: bytes, path: bytes, entry: Entry, source: Known | None) -> Known:
        mode, raw = entry
        if self._is_sparse(path, entry, source):
            return Known(None, entry)
        try:
            if mode == SUBMODULE:
                os.mkdir(target)  # noqa: PTH102
                return Known(NEVER, entry)
            if mode == LINK:
                os.symlink(self._store.read_blob(raw), target)  # noqa: PTH211
                return Known(signature(os.lstat(target)), entry)
            fd = os.open(target, _WRITE, 0o777 if mode == EXECUTABLE else 0o666)
        except FileExistsError:
            note("case_collision", f"{shown(path)} differs from another file only by case")
            return Known(None, entry)
        try:
            if not self._copied(fd, path, entry, source):
                write_all(fd, self._attributes.smudge(path, self._store.read_blob(raw)))
            return Known(signature(os.fstat(fd)), entry)
        finally:
            os.close(fd)

    def _is_sparse(self, path: bytes, entry: Entry, source: Known | None) -> bool:
        """The user's sparse checkout leaves it out, so ours does."""
        if self._source is None or source is None or source.signature is not None:
            return False
        return source.entry == entry and not os.path.lexists(self._source + path)

    def _copied(self, fd: int, path: bytes, entry: Entry, source: Known | None) -> bool:
        """From the checkout, if that file is still what it was when it was known."""
        if self._source is None or source is None or source.entry != entry:
            return False
        try:
            inner = os.open(self._source + path, _READ)
        except OSError:
            return False
        try:
            info = os.fstat(inner)
            if signature(info) != source.signature:
                return False
            if info.st_size < _WORTH_CLONING or not reflink(inner, fd):
                _pour(inner, fd, info.st_size)
            if signature(os.fstat(inner)) == source.signature:
                return True
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
            return False
        finally:
            os.close(inner)

    def _attributes_file(self, path: bytes) -> bytes | None:
        entry = self._store.trees.find(self._tree, path)
        return self._store.read_blob(entry[1]) if entry and entry[0] not in (FOLDER, LINK) else None


def delete(root: Path, path: bytes) -> None:
    """One file of a checkout, and the folders that it leaves empty."""
    file = root / os.fsdecode(path)
    with translated(file), suppress(FileNotFoundError, NotADirectoryError):
        file.unlink()
    with suppress(OSError):
        for folder in file.parents:
            if folder == root:
                break
            folder.rmdir()


def _check(prefix: bytes, name: bytes) -> None:
    """A tree made by an enemy may name a way out of the worktree."""
    if name in (b"", b".", b"..") or b"/" in name or name.lower() == b".git":
        path = shown(prefix + name)
        raise UnsafePath(f"the repository holds a file named {path!r}, which no checkout may have")


def _pour(source: int, target: int, size: int) -> None:
    data = os.read(source, min(size + 1, 1 << 20))
    write_all(target, data)
    while len(data) != size and (more := os.read(source, 1 << 20)):
        write_all(target, more)
