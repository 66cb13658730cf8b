"""Fills an empty folder with the files of a tree, taking clean ones from a checkout.

Knows no sessions.
"""

import marshal
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from mlxk.contract.errors import UnsafePath
from mlxk.contract.notes import note
from mlxk.history import cloning
from mlxk.history.attributes import Attributes
from mlxk.history.checkout import shown
from mlxk.history.cloning import (
    LARGEST,
    READ,
    WRITE,
    File,
    Folderful,
    Outcome,
    Signature,
    signature,
)
from mlxk.history.disk import write_all
from mlxk.history.folders import NEVER, Folder, Known
from mlxk.history.packs import RawId
from mlxk.history.store import Store
from mlxk.history.trees import EXECUTABLE, FILE, FOLDER, LINK, SUBMODULE, Entry
from mlxk.system.files import reflink, translated

_NOTHING = Folder()
_WORTH_A_PROCESS = 2000  # files
_MOST = 4
_PIECE = 200  # files that are copied before anybody looks whether they are still wanted
_TICK = 0.05  # longer than any file system's clock stands still


class Copying:
    """One run. `source` and `known` describe the checkout whose clean files may be copied."""

    def __init__(self, store: Store, tree: RawId, source: Path | None, known: Folder) -> None:
        self._store = store
        self._tree = tree
        self._source = os.fsencode(source) + b"/" if source else None
        self._known = known
        self._attributes = Attributes(self._attributes_file, store.common, store.config)
        self._filters = self._attributes.may_filter
        self._clean: list[tuple[Folder, Folderful]] = []

    def into(self, target: Path) -> Folder:
        """Write every file below the new folder `target`; what is then known of it."""
        result = Folder()
        with translated(target):
            target.mkdir(parents=True, mode=0o777)
            top = os.fsencode(target) + b"/"
            self._folder(self._tree, top, b"", result, self._known)
            self._copy_clean(top)
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
        """All folders, and the files that are not copied as they are."""
        known = known or _NOTHING
        clean: list[File] = []
        for name, entry in self._store.trees.entries(tree).items():
            self._store.require_wanted()
            _check(prefix, name)
            path = prefix + name
            if name == b".gitattributes" and entry[0] != FOLDER:
                self._filters |= b"filter" in self._store.read_blob(entry[1])
            if entry[0] == FOLDER:
                with suppress(FileExistsError):
                    os.mkdir(target + path)  # noqa: PTH102
                inner = result.folders[name] = Folder()
                self._folder(entry[1], target, path + b"/", inner, known.folders.get(name))
                continue
            source = known.files.get(name)
            if looked := self._clean_look(entry, source):
                clean.append((name, looked, entry[0] == EXECUTABLE))
                result.files[name] = Known(NEVER, entry)
            else:
                result.files[name] = self._file(target + path, path, entry, source)
        for at in range(0, len(clean), _PIECE):
            self._clean.append((result, (prefix, clean[at : at + _PIECE])))

    def _clean_look(self, entry: Entry, source: Known | None) -> Signature | None:
        """Of a small file that the checkout had when somebody last looked."""
        if self._source is None or source is None or source.entry != entry:
            return None
        looked = source.signature if entry[0] in (FILE, EXECUTABLE) else None
        return looked if looked and 0 <= looked[2] < LARGEST else None

    def _copy_clean(self, target: bytes) -> None:
        found = _cloned(self._store, self._source or b"", target, [each for _, each in self._clean])
        for (folder, (prefix, files)), copied in zip(self._clean, found, strict=True):
            for (name, *_), looks in zip(files, copied, strict=True):
                self._store.require_wanted()
                entry, path = folder.files[name].entry or (FILE, b""), prefix + name
                folder.files[name] = (
                    Known(looks, entry) if looks else self._file(target + path, path, entry, None)
                )

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
            fd = os.open(target, WRITE, 0o777 if mode == EXECUTABLE else 0o666)
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
            inner = os.open(self._source + path, READ)
        except OSError:
            return False
        try:
            info = os.fstat(inner)
            if signature(info) != source.signature:
                return False
            if not reflink(inner, fd):
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


def _cloned(store: Store, source: bytes, target: bytes, folders: list[Folderful]) -> Outcome:
    """Shared with other processes when it is much."""
    workers = max(min(sum(len(files) for _, files in folders) // _WORTH_A_PROCESS, _MOST), 1)
    workers = min(workers, os.cpu_count() or 1)
    shares = [folders[n::workers] for n in range(workers)]
    found: Outcome = [[] for _ in folders]
    with ExitStack() as helpers:
        started = [helpers.enter_context(_helping(source, target, share)) for share in shares[1:]]
        found[::workers] = _own_share(store, source, target, shares[0])
        for n, helper in enumerate(started, 1):
            found[n::workers] = _outcome(store, helper) or _again(source, target, shares[n])
    return found


def _own_share(store: Store, source: bytes, target: bytes, share: list[Folderful]) -> Outcome:
    found: Outcome = []
    for folder in share:
        store.require_wanted()
        found += cloning.clone(source, target, [folder])
    return found


@contextmanager
def _helping(
    source: bytes, target: bytes, share: list[Folderful]
) -> Iterator["subprocess.Popen[bytes]"]:
    with TemporaryFile() as jobs:
        marshal.dump((source, target, share), jobs)
        jobs.seek(0)
        argv = [sys.executable, "-I", "-S", cloning.__file__]
        with subprocess.Popen(argv, stdin=jobs, stdout=subprocess.PIPE, env={}) as helper:
            try:
                yield helper
            finally:
                helper.kill()


def _outcome(store: Store, helper: "subprocess.Popen[bytes]") -> Outcome | None:
    """None when it was killed or could not start."""
    data = None
    while data is None:
        store.require_wanted()
        with suppress(subprocess.TimeoutExpired):
            data, _ = helper.communicate(timeout=_TICK)
    found = marshal.loads(data) if helper.returncode == 0 and data else None
    if isinstance(found, tuple):
        raise OSError(*found)
    return found


def _again(source: bytes, target: bytes, share: list[Folderful]) -> Outcome:
    for prefix, files in share:
        for name, *_ in files:
            with suppress(FileNotFoundError):
                os.unlink(target + prefix + name)  # noqa: PTH108
    return cloning.clone(source, target, share)


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
