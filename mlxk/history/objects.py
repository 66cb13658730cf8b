"""Writes git objects as loose files, in batches, safe beside git's own gc.

Reads and interprets none.
"""

import os
import time
import zlib
from collections import OrderedDict
from contextlib import suppress
from hashlib import sha1
from itertools import count
from pathlib import Path

from mlxk.history.disk import Batch
from mlxk.system.files import translated

RawId = bytes  # 20 bytes
_KEPT_BYTES, _KEPT_SECONDS = 32 << 20, 300.0
_LOOK_EVERY = 1.0


class Writer:
    """Keeps recent objects in memory: a prune that began before our ref moved may still delete
    them.
    """

    def __init__(self, objects: Path) -> None:
        self._folder = objects
        self._prefix = os.fsencode(objects) + b"/"
        self._batch = Batch(objects)
        self._recent: OrderedDict[RawId, tuple[float, bytes]] = OrderedDict()
        self._recent_bytes = 0
        self._fresh: list[RawId] = []
        self._looked = (0.0, 0)
        self._serial = count()

    def add(self, kind: bytes, data: bytes) -> RawId:
        header = b"%b %d\0" % (kind, len(data))
        digest = sha1(header, usedforsecurity=False)
        digest.update(data)
        raw = digest.digest()
        if raw not in self._recent:
            packed = zlib.compress(header + data, 1)
            self._keep(raw, packed)
            with translated(self._folder):
                if not self._exists(raw):
                    self._write(raw, packed)
        return raw

    def settle(self) -> None:
        """Wait until every object is written out; the ref's own barrier then makes them durable."""
        self._batch.wait()

    def recheck(self, *, thorough: bool = False) -> None:
        """Write again what a concurrent prune deleted. Call it once the ref has moved."""
        fresh, self._fresh = self._fresh, []
        lost = [raw for raw in fresh if not self._is_loose(raw)]
        if lost or thorough or self._someone_packed():
            lost = [raw for raw in self._recent if not self._is_loose(raw)]
        with translated(self._folder):
            for raw in lost:
                self._write(raw, self._recent[raw][1])
        self._batch.wait()

    @property
    def gc_running(self) -> bool:
        return (self._folder.parent / "gc.pid").exists()

    def _someone_packed(self) -> bool:
        """A gc runs, or packs have changed, or nobody has looked for a while."""
        now = time.monotonic()
        with suppress(FileNotFoundError):
            packs = os.stat(self._prefix + b"pack").st_mtime_ns  # noqa: PTH116
            if (packs, False) == (self._looked[1], self.gc_running) and now < self._looked[0]:
                return False
            self._looked = (now + _LOOK_EVERY, packs)
        return True

    def _keep(self, raw: RawId, packed: bytes) -> None:
        self._fresh.append(raw)
        self._recent[raw] = (now := time.monotonic()), packed
        self._recent_bytes += len(packed)
        while len(self._recent) > len(self._fresh):
            raw, (since, packed) = next(iter(self._recent.items()))
            if self._recent_bytes <= _KEPT_BYTES and now - since < _KEPT_SECONDS:
                break
            del self._recent[raw]
            self._recent_bytes -= len(packed)

    def _path(self, raw: RawId) -> bytes:
        name = raw.hex().encode()
        return b"%b%b/%b" % (self._prefix, name[:2], name[2:])

    def _is_loose(self, raw: RawId) -> bool:
        try:
            os.stat(self._path(raw))  # noqa: PTH116
        except FileNotFoundError:
            return False
        return True

    def _exists(self, raw: RawId) -> bool:
        """Present and whole; touched, so that gc counts it as new, like git does."""
        path = self._path(raw)
        try:
            os.utime(path)
            return os.stat(path).st_size > 0  # noqa: PTH116
        except FileNotFoundError:
            return False
        except PermissionError:
            return True

    def _write(self, raw: RawId, packed: bytes) -> None:
        final = self._path(raw)
        # git's prune knows this prefix and cleans up after a kill. It may also do so too early.
        temporary = b"%btmp_obj_%d_%d" % (final[:-38], os.getpid(), next(self._serial))
        for _ in range(100):
            fd = self._create(temporary)
            try:
                _write_all(fd, packed)
                os.rename(temporary, final)  # noqa: PTH104
            except FileNotFoundError:
                os.close(fd)
                continue
            except BaseException:
                os.close(fd)
                with suppress(OSError):
                    os.unlink(temporary)  # noqa: PTH108
                raise
            self._batch.take(fd)
            return
        raise FileNotFoundError(os.fsdecode(final))

    def _create(self, temporary: bytes) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(temporary, flags, 0o444)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(os.path.dirname(temporary))  # noqa: PTH102, PTH120
            return os.open(temporary, flags, 0o444)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
