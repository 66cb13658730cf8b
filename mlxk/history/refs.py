"""Reads and moves refs by compare-and-swap, with git's own lock files. Knows no commits."""

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from dulwich.objects import ObjectID
from dulwich.refs import Ref, check_ref_format

from mlxk.contract.errors import AlreadyExists, InvalidValue, Locked
from mlxk.history.disk import barrier, write_all
from mlxk.system.files import translated

_PATIENCE = 5.0  # git itself holds a ref lock for milliseconds
_STALE = 1.0


class Refs:
    """A ref lock older than a second is a corpse; only who holds the session may bury it."""

    def __init__(self, common: Path, packed: Callable[[], Mapping[Ref, ObjectID]]) -> None:
        self._common = common
        self._packed = packed

    def read(self, ref: str) -> str | None:
        for _ in range(2):
            if found := self._loose(ref):
                return found
            # pack-refs writes the packed file before it deletes the loose one
            if packed := self._packed().get(Ref(ref.encode())):
                return packed.decode()
        return None

    def under(self, prefix: str) -> Iterator[tuple[str, str]]:
        """(ref, commit) of all refs that start with `prefix`, which ends in `/`."""
        names = {r.decode() for r in self._packed() if r.startswith(prefix.encode())}
        for folder, _, files in os.walk(self._common / prefix):
            below = Path(folder).relative_to(self._common).as_posix()
            names.update(f"{below}/{name}" for name in files if not name.endswith(".lock"))
        for name in sorted(names):
            if commit := self.read(name):
                yield name, commit

    def swap(
        self, ref: str, old: str | None, new: str, *, ours: bool = False, durable: bool = True
    ) -> bool:
        """Move `ref` from `old` (None: absent) to `new`; False when it was elsewhere."""
        path = self._common / ref
        with translated(path):
            fd = self._lock(path, ours=ours)
            lock = f"{path}.lock"
            try:
                if self.read(ref) != old:
                    return False
                if old is None and self._is_crossed(ref.encode()):
                    raise _in_the_way(path)
                os.write(fd, new.encode() + b"\n")
                if durable:
                    barrier(fd)
                os.rename(lock, path)  # noqa: PTH104
                lock = ""
            except IsADirectoryError as e:
                raise _in_the_way(path) from e
            finally:
                os.close(fd)
                if lock:
                    os.unlink(lock)  # noqa: PTH108
        return True

    def drop(self, ref: str, old: str) -> bool:
        """Delete `ref` if it is still at `old`."""
        path = self._common / ref
        with translated(path):
            os.close(self._lock(path, ours=True))
            try:
                if self.read(ref) != old:
                    return False
                self._unpack(ref)
                path.unlink(missing_ok=True)
            finally:
                Path(f"{path}.lock").unlink()
        return True

    def _is_crossed(self, ref: bytes) -> bool:
        """Whether a packed ref lies below `ref`, or above: as files they could not be both."""
        return any(r.startswith(ref + b"/") or ref.startswith(r + b"/") for r in self._packed())

    def _unpack(self, ref: str) -> None:
        """Take `ref` out of the packed refs, as git does before it deletes the loose one."""
        if Ref(ref.encode()) not in self._packed():
            return
        path = self._common / "packed-refs"
        fd = self._lock(path, ours=False)
        lock = Path(f"{path}.lock")
        try:
            write_all(fd, _without(path.read_bytes(), ref.encode()))
            barrier(fd)
            lock.rename(path)
        except BaseException:
            lock.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)

    def _loose(self, ref: str) -> str | None:
        try:
            with open(f"{self._common}/{ref}", "rb") as file:  # noqa: PTH123
                return file.read().strip().decode() or None
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def _lock(self, path: Path, *, ours: bool) -> int:
        deadline = time.monotonic() + _PATIENCE
        wait = 0.001
        while True:
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                return os.open(f"{path}.lock", flags, 0o644)
            except FileNotFoundError:
                _make_folders(path)
            except NotADirectoryError as e:
                raise _in_the_way(path) from e
            except FileExistsError as e:
                if ours:
                    _bury(Path(f"{path}.lock"))
                if time.monotonic() > deadline:
                    raise Locked(f"another process holds {path}.lock", path=str(path)) from e
                time.sleep(wait * random.uniform(0.5, 1.5))
                wait = min(wait * 2, 0.1)


def check(ref: str) -> str:
    """`ref` if git would accept it. InvalidValue."""
    if ref.isprintable() and check_ref_format(Ref(ref.encode())):
        return ref
    raise InvalidValue(f"{ref!r} is not a name that git accepts for a branch", name=ref)


def _without(packed: bytes, ref: bytes) -> bytes:
    """The file's lines but that of `ref` and the peeled one that may follow it."""
    kept: list[bytes] = []
    dropping = False
    for line in packed.splitlines(keepends=True):
        dropping = line.startswith(b"^") if dropping else False
        if line.rstrip(b"\n").endswith(b" " + ref) and not line.startswith(b"#"):
            dropping = True
        if not dropping:
            kept.append(line)
    return b"".join(kept)


def _bury(lock: Path) -> None:
    with suppress(FileNotFoundError):
        if time.time() - lock.stat().st_mtime > _STALE:
            lock.unlink()


def _make_folders(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (NotADirectoryError, FileExistsError) as e:
        raise _in_the_way(path) from e


def _in_the_way(path: Path) -> AlreadyExists:
    return AlreadyExists(
        f"another branch is in the way of {path.name}", path=str(path), hint="choose another name"
    )
