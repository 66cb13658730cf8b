"""Turns a file on disk into a stored entry: bytes, mode, link target.

Knows no ignore rules and no trees.
"""

import os
import stat
from pathlib import Path

from dulwich.index import read_submodule_head

from mlxk.contract.errors import UnsafePath
from mlxk.history.attributes import Attributes
from mlxk.history.cloning import READ, signature
from mlxk.history.folders import NEVER, Known, trusted
from mlxk.history.packs import RawId, object_id
from mlxk.history.store import Store
from mlxk.history.trees import EXECUTABLE, FILE, LINK, SUBMODULE, Entry


class Unreadable(PermissionError):
    """A file whose bytes this user may not read."""


class Reader:
    """For one look: .gitattributes are read once."""

    def __init__(self, root: Path, store: Store, *, keep: bool = True) -> None:
        self._keep = keep
        self._root = os.fsencode(root) + b"/"
        self._store = store
        self._modes = store.flag("filemode", default=True)
        self._attributes: Attributes | None = None

    def read(self, fd: int, path: bytes, info: os.stat_result, old: Entry | None) -> Known:
        """The file `path`, whose folder is open as `fd` and which looked like `info`.

        Unreadable.
        """
        name = path.rpartition(b"/")[2]
        if stat.S_ISLNK(info.st_mode):
            target = os.readlink(name, dir_fd=fd)
            return Known(trusted(info), (LINK, self._saved(target, old)))
        try:
            inner = os.open(name, READ, dir_fd=fd)
        except PermissionError as e:
            raise Unreadable(e.errno, e.strerror, e.filename) from e
        try:
            data = _content(inner, info.st_size)
            after = os.fstat(inner)
        finally:
            os.close(inner)
        raw = self._saved(self._clean(path, data, old), old)
        whole = signature(info) == signature(after) and len(data) == info.st_size
        return Known(trusted(info) if whole else NEVER, (self._mode(info, old), raw))

    def _saved(self, data: bytes, old: Entry | None) -> RawId:
        """A file that only looks changed needs no new object."""
        raw = object_id(b"blob", data)
        if self._keep and (old is None or old[1] != raw):
            self._store.writer.add(b"blob", data)
        return raw

    def _clean(self, path: bytes, data: bytes, old: Entry | None) -> bytes:
        if self._attributes is None or path.endswith(b".gitattributes"):
            reader = self._attributes_file
            self._attributes = Attributes(reader, self._store.common, self._store.config)
        is_file = old is not None and old[0] in (FILE, EXECUTABLE)
        before = old[1] if old and is_file else None
        committed = (lambda: self._store.read_blob(before)) if before else bytes
        try:
            return self._attributes.clean(path, data, committed)
        except UnsafePath as e:
            root = Path(os.fsdecode(self._root))
            if root != self._store.root:
                e.hint = f"undo that change in {root}, then go on with the session"
            raise

    def _attributes_file(self, path: bytes) -> bytes | None:
        try:
            fd = os.open(self._root + path, READ)
        except OSError:
            return None
        try:
            is_file = stat.S_ISREG(os.fstat(fd).st_mode)
            return _content(fd, os.fstat(fd).st_size) if is_file else None
        finally:
            os.close(fd)

    def _mode(self, info: os.stat_result, old: Entry | None) -> int:
        if not self._modes:
            return old[0] if old and old[0] in (FILE, EXECUTABLE) else FILE
        return EXECUTABLE if info.st_mode & stat.S_IXUSR else FILE

    def submodule(self, path: bytes, old: Entry) -> Entry:
        head = read_submodule_head(self._root + path)
        return (SUBMODULE, bytes.fromhex(head.decode())) if head else old


def entry_at(store: Store, root: Path, path: bytes, old: Entry | None) -> Entry | None:
    """What stands at `path` of a checkout, None when no file does; nothing is stored."""
    folder, name = os.path.split(os.fsencode(root) + b"/" + path)
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        info = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if not (stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode)):
            return None
        return Reader(root, store, keep=False).read(fd, path, info, old).entry
    except FileNotFoundError:
        return None
    finally:
        os.close(fd)


def _content(fd: int, size: int) -> bytes:
    data = os.read(fd, size + 1)
    if len(data) == size or not data:
        return data
    pieces = [data]
    while piece := os.read(fd, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)
