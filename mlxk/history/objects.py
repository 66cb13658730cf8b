"""Writes git objects: those of one step together, as a small pack, safe beside git's own gc.

Two files a step are cheaper to make durable than a dozen loose objects. Interprets no object.
"""

import os
import time
from collections import OrderedDict
from contextlib import suppress
from itertools import count
from pathlib import Path

from mlxk.history import packs
from mlxk.history.disk import Batch
from mlxk.history.packs import Pack, RawId
from mlxk.system.files import translated

_BUFFER = 32 << 20  # more than this at once goes to the disk before its step is complete
_MEMORY = 8 << 20
_JOIN_AT = 16  # packs; git's own limit before it repacks by itself is 50
_SMALL = 1 << 20  # larger packs are not written again, so that a long session costs linear time
_WATCHED_SECONDS, _WATCHED_BYTES = 600.0, 32 << 20


class Writer:
    """Watches what it wrote: a repack that began before our ref moved may still delete it."""

    def __init__(self, objects: Path) -> None:
        self._folder = objects / "pack"
        self._batch = Batch(objects)
        self._fresh: dict[RawId, tuple[bytes, bytes]] = {}  # kind, content; not on disk yet
        self._fresh_bytes = 0
        self._memory: OrderedDict[RawId, tuple[bytes, bytes]] = OrderedDict()
        self._memory_bytes = 0
        self._watched: dict[Path, tuple[float, Pack]] = {}
        self._serial = count()

    def add(self, kind: bytes, data: bytes) -> RawId:
        """Kept in memory until `flush`."""
        raw = packs.object_id(kind, data)
        if raw not in self._fresh:
            self._fresh[raw] = kind, data
            self._fresh_bytes += len(data)
            if self._fresh_bytes > _BUFFER:
                self.flush()
        return raw

    def recall(self, raw: RawId) -> tuple[bytes, bytes] | None:
        """(kind, content) of an object written lately."""
        return self._fresh.get(raw) or self._memory.get(raw)

    def flush(self) -> None:
        """Write out what was added; the ref's own barrier then makes it durable."""
        if self._fresh:
            pack = packs.build((raw, packs.entry(*o)) for raw, o in self._fresh.items())
            self._write(pack)
            self._watched[self._folder / pack.name] = time.monotonic(), pack
            self._remember()
        self._batch.wait()

    def recheck(self) -> None:
        """Write again what a concurrent repack deleted. Call it once the ref has moved."""
        for base, (_, pack) in self._watched.items():
            if not _there(base):
                self._write(pack)
        self._batch.wait()
        if len(self._small()) >= _JOIN_AT:
            self.join()
        self._forget()

    def join(self) -> None:
        """Make one pack of the small ones. What git is reading just now, it holds open."""
        small = self._small()
        if len(small) < 2 or self.gc_running or (self._folder / "multi-pack-index").exists():
            return
        objects = {raw: data for pack in small.values() for raw, data in packs.entries(pack)}
        joined = packs.build(objects.items())
        self._write(joined)
        self._batch.wait(durable=True)
        for base in small.keys() - {self._folder / joined.name}:
            del self._watched[base]
            for suffix in (".idx", ".pack"):
                with translated(self._folder), suppress(FileNotFoundError):
                    base.with_suffix(suffix).unlink()
        self._watched[self._folder / joined.name] = time.monotonic(), joined

    def _small(self) -> dict[Path, Pack]:
        return {base: p for base, (_, p) in self._watched.items() if len(p.pack) < _SMALL}

    def _forget(self) -> None:
        """Old and bulky packs; they are reachable since long."""
        horizon = time.monotonic() - _WATCHED_SECONDS
        size = sum(len(pack.pack) for _, pack in self._watched.values())
        for base, (since, pack) in list(self._watched.items()):
            if (since < horizon and len(pack.pack) >= _SMALL) or size > _WATCHED_BYTES:
                del self._watched[base]
                size -= len(pack.pack)

    @property
    def gc_running(self) -> bool:
        return (self._folder.parent.parent / "gc.pid").exists()

    def _remember(self) -> None:
        for raw, (kind, data) in self._fresh.items():
            self._memory[raw] = kind, data
            self._memory_bytes += len(data)
        self._fresh, self._fresh_bytes = {}, 0
        while self._memory_bytes > _MEMORY:
            _, (_, data) = self._memory.popitem(last=False)
            self._memory_bytes -= len(data)

    def _write(self, pack: Pack) -> None:
        """The index last: a pack without one does not exist for git."""
        for suffix, data in ((".pack", pack.pack), (".idx", pack.index)):
            with translated(self._folder):
                self._put(self._folder / f"{pack.name}{suffix}", data)

    def _put(self, final: Path, data: bytes) -> None:
        # git's prune knows this prefix and cleans up after a kill. It may also do so too early.
        temporary = self._folder / f"tmp_mlxk_{os.getpid()}_{next(self._serial)}"
        for _ in range(100):
            fd = self._create(temporary)
            try:
                write_all(fd, data)
                temporary.rename(final)
            except FileNotFoundError:
                os.close(fd)
                continue
            except BaseException:
                os.close(fd)
                temporary.unlink(missing_ok=True)
                raise
            self._batch.take(fd)
            return
        raise FileNotFoundError(final)

    def _create(self, path: Path) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o444)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, flags, 0o444)


def write_all(fd: int, data: bytes) -> None:
    """A full disk shows as a short write first."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _there(base: Path) -> bool:
    return os.path.exists(f"{base}.pack") and os.path.exists(f"{base}.idx")  # noqa: PTH110
