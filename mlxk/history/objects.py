"""Writes git objects: those of one step together, as a small pack, safe beside git's own gc.

Two files a step are cheaper to make durable than a dozen loose objects. Interprets no object.
"""

import os
import re
from collections import OrderedDict
from contextlib import suppress
from functools import cached_property
from itertools import count
from pathlib import Path

from mlxk.contract.errors import Locked
from mlxk.history import deltas, packs
from mlxk.history.disk import Batch, write_all
from mlxk.history.packs import Pack, RawId
from mlxk.system.files import locked, translated, write_atomic
from mlxk.system.process import Identity, identity, is_alive

_BUFFER = 32 << 20  # more than this at once goes to the disk before its step is complete
_MEMORY = 8 << 20
_JOIN_AT = 16  # packs; git's own limit before it repacks by itself is 50
_NAME = re.compile("pack-[0-9a-f]{40}")
_serial = count()  # of this process: its stores write into the same folder at once
_SMALL = 1 << 18  # larger packs are not written again, so that a long session costs linear time


class Writer:
    """A new pack is marked `.keep` until `release`, as git's own receive-pack does.

    A repack that began before our ref moved therefore leaves it alone, and one that begins later
    sees the ref.
    """

    def __init__(self, objects: Path, listing: Path) -> None:
        self._listing = listing  # small packs of ours, so that a later session joins them
        self._folder = objects / "pack"
        self._batch = Batch(objects)
        self._fresh: dict[RawId, tuple[bytes, bytes]] = {}  # kind, content; not on disk yet
        self._fresh_bytes = 0
        self._memory: OrderedDict[RawId, tuple[bytes, bytes]] = OrderedDict()
        self._memory_bytes = 0
        self._kept: list[Path] = []
        self._released: list[Path] = []
        self._small: dict[Path, Pack] = {}

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
        self.unmark()
        if len(self._small) >= _JOIN_AT:
            self.join()
        if self._fresh:
            self._write(packs.build((raw, packs.entry(*o)) for raw, o in self._fresh.items()))
            self._remember()
        self._batch.wait()

    def release(self) -> None:
        """The ref has moved: git may repack what was written.

        The marks go with the next write: just after a sync, deleting waits for the disk.
        """
        self._released += self._kept
        self._kept = []

    def join(self) -> None:
        """Make one pack of the small ones. What git is reading just now, it holds open."""
        self.unmark()
        self._small = {base: pack for base, pack in self._small.items() if _there(base)}
        held = {keep.with_suffix("") for keep in self._kept}
        small = {base: pack for base, pack in self._small.items() if base not in held}
        if len(small) < 2 or self._others_read:
            return
        objects: dict[RawId, deltas.Object] = {}
        for pack in small.values():
            objects |= deltas.resolved(dict(packs.entries(pack)))
        self._small = {base: self._small[base] for base in self._small.keys() - small.keys()}
        joined = self._write(packs.build(deltas.compact(objects)))
        self._batch.wait(durable=True)
        for base in small.keys() - {joined}:
            for suffix in (".idx", ".pack"):
                with translated(self._folder):
                    base.with_suffix(suffix).unlink(missing_ok=True)
        joined.with_suffix(".keep").unlink(missing_ok=True)
        self._kept.remove(joined.with_suffix(".keep"))

    def tidy(self) -> None:
        """Join what earlier sessions left, once it is much: git slows down with every pack."""
        self.join()
        with (
            suppress(Locked),
            translated(self._listing),
            locked(self._listing.with_suffix(".lock")),
        ):
            left = [base for base in self._listed() if _there(base) and not _kept(base)]
            if len(left) >= _JOIN_AT:
                for base in left:
                    if base not in self._small:
                        with suppress(FileNotFoundError):  # git has just packed it anew
                            self._small[base] = _loaded(base)
                self.join()
                left = [base for base in self._small if _there(base)]
            write_atomic(self._listing, _names(left), durable=False)

    def unmark(self) -> None:
        """Take away the marks of packs whose ref has moved."""
        while self._released:
            self._released.pop().unlink(missing_ok=True)

    def sweep(self) -> None:
        """Take away the `.keep` marks of processes that were killed."""
        for keep in self._folder.glob("pack-*.keep"):
            with suppress(FileNotFoundError):
                mark, *who = keep.read_text(errors="replace").split()[:4] or [""]
                if mark == "mlxk" and len(who) == 3 and not is_alive(_identity(*who)):
                    keep.unlink()

    @property
    def _others_read(self) -> bool:
        """Whether git relies on the names of packs just now."""
        folder = self._folder
        return (folder.parent.parent / "gc.pid").exists() or (folder / "multi-pack-index").exists()

    def _list(self, base: Path) -> None:
        """A line that is lost costs a pack that nobody joins."""
        with translated(self._listing):
            self._listing.parent.mkdir(parents=True, exist_ok=True)
            with self._listing.open("ab") as listing:
                listing.write(_names([base]))

    def _listed(self) -> list[Path]:
        try:
            lines = self._listing.read_text().splitlines()
        except FileNotFoundError:
            return []
        return [self._folder / name for name in dict.fromkeys(lines) if _NAME.fullmatch(name)]

    def _remember(self) -> None:
        for raw, (kind, data) in self._fresh.items():
            if raw not in self._memory:
                self._memory[raw] = kind, data
                self._memory_bytes += len(data)
        self._fresh, self._fresh_bytes = {}, 0
        while self._memory_bytes > _MEMORY:
            _, (_, data) = self._memory.popitem(last=False)
            self._memory_bytes -= len(data)

    def _write(self, pack: Pack) -> Path:
        """The index last: a pack without one does not exist for git."""
        base = self._folder / pack.name
        keep = base.with_suffix(".keep")
        with translated(self._folder):
            os.close(self._placed(keep, self._mark))
            self._kept.append(keep)
            self._put(base.with_suffix(".pack"), pack.pack)
            self._put(base.with_suffix(".idx"), pack.index)
        if len(pack.pack) < _SMALL:
            self._small[base] = pack
            self._list(base)
        return base

    @cached_property
    def _mark(self) -> bytes:
        me = identity()
        return f"mlxk {me.pid} {me.started} {me.boot}\n".encode() if me else b"mlxk\n"

    def _put(self, final: Path, data: bytes) -> None:
        self._batch.take(self._placed(final, data))

    def _placed(self, final: Path, data: bytes) -> int:
        """Whole or not at all, whenever we are killed: half a mark would be nobody's."""
        # git's prune knows this prefix and cleans up after a kill. It may also do so too early.
        temporary = self._folder / f"tmp_mlxk_{os.getpid()}_{next(_serial)}"
        for _ in range(100):
            fd = self._create(temporary, data)
            try:
                temporary.rename(final)
            except FileNotFoundError:
                os.close(fd)
                continue
            return fd
        raise FileNotFoundError(final)

    def _create(self, path: Path, data: bytes) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o444)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, flags, 0o444)
        try:
            write_all(fd, data)
        except BaseException:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        return fd


def _identity(pid: str, started: str, boot: str) -> Identity:
    return Identity(int(pid) if pid.isdigit() else 0, started, boot)


def _names(bases: list[Path]) -> bytes:
    return "".join(f"{base.name}\n" for base in bases).encode()


def _loaded(base: Path) -> Pack:
    data, index = base.with_suffix(".pack").read_bytes(), base.with_suffix(".idx").read_bytes()
    return Pack(base.name, data, index)


def _kept(base: Path) -> bool:
    return os.path.exists(f"{base}.keep")  # noqa: PTH110


def _there(base: Path) -> bool:
    return os.path.exists(f"{base}.pack") and os.path.exists(f"{base}.idx")  # noqa: PTH110
