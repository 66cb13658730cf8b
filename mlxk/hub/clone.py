"""Copy a model out of the cache into a folder of its own that may be edited."""

import ctypes
import fcntl
import os
import shutil
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

from mlxk.contract.errors import AlreadyExists, DiskFull, ModelUnhealthy, UnsafePath
from mlxk.hub import health, locks, provenance
from mlxk.hub.contents import Contents, scan
from mlxk.hub.fleet import Fleet, Progress, Task, Tick
from mlxk.hub.model import Place
from mlxk.system import paths
from mlxk.system.files import is_locked, reflink, translated

Method = Literal["clonefile", "reflink", "copy"]

_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Cloned:
    model: str
    hash: str | None
    target_dir: str
    clone_status: Literal["success"]
    health: Literal["healthy", "unhealthy"]
    files: int
    copied_bytes: int
    method: Method


def target(place: Place, wanted: Path | None) -> Path:
    """The folder to make: as asked, else the model's short name where workspaces live."""
    short = place.name.rpartition("/")[2].rpartition(":")[2]
    folder = (wanted or (paths.workspaces() or Path.cwd()) / short).absolute()
    if folder.is_symlink() or (folder.exists() and not _is_empty(folder)):
        raise AlreadyExists(f"{folder} exists", hint="name another folder", path=str(folder))
    for taken in (place.folder, paths.hub_cache()):
        if folder.resolve().is_relative_to(taken.resolve()):
            hint = "name a folder outside of it"
            raise UnsafePath(f"{folder} is inside {taken}", hint=hint, path=str(folder))
    return folder


def clone(place: Place, folder: Path) -> Generator[Progress, None, Cloned]:
    """Copy-on-write where the file system has it, else bytes; never a link into the cache."""
    source = scan(place.folder)
    unreadable = next((f"{f.name}: {f.problem}" for f in source.files if f.problem), None)
    if reason := place.problem or source.problem or unreadable:
        raise ModelUnhealthy(f"{place.name}: {reason}", hint=f"mlxk pull {place.name}")
    with _scratch(folder) as scratch:
        with locks.reading(place.folder):
            method = yield from _copy_all(source, scratch)
        known = provenance.known(source)
        provenance.write(scan(scratch), place.name, place.hash, known=known)
        scratch.chmod(0o755)
        with suppress(FileNotFoundError):
            folder.rmdir()
        scratch.rename(folder)
    verdict = health.judge(folder, name=place.name)
    copied = source.size if method == "copy" else 0
    state: Literal["healthy", "unhealthy"] = "healthy" if verdict.healthy else "unhealthy"
    return Cloned(
        place.name, place.hash, str(folder), "success", state, len(source.files), copied, method
    )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Where a copy grows, locked: one that nobody holds is what a killed clone left, and goes."""
    prefix = f".{folder.name}.mlxk-"
    with translated(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.iterdir():
            if left.name.startswith(prefix) and not is_locked(left):
                shutil.rmtree(left, ignore_errors=True)
        scratch = Path(mkdtemp(dir=folder.parent, prefix=prefix))
    fd = os.open(scratch, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield scratch
    finally:
        os.close(fd)
        shutil.rmtree(scratch, ignore_errors=True)


def _copy_all(source: Contents, folder: Path) -> Generator[Progress, None, Method]:
    used: set[Method] = set()
    with translated(folder):
        _require_space(source, folder)
        tasks = [
            Task(f.name, f.size, partial(_copy, source.path(f.name), folder / f.name, used))
            for f in source.files
        ]
        yield from Fleet(tasks, workers=_WORKERS).run()
    return "copy" if "copy" in used or not used else used.pop()


def _copy(source: str, target: Path, used: set[Method], tick: Tick) -> None:
    real = os.path.realpath(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    method = _share(real, target)
    if method is None:
        shutil.copyfile(real, target)
    used.add(method or "copy")
    tick(target.stat().st_size)


def _share(source: str, target: Path) -> Method | None:
    """Let both files share their blocks until one is written to; None where that cannot be."""
    if sys.platform == "darwin":
        return _clonefile(source, target)
    with open(source, "rb") as read, target.open("wb") as write:  # noqa: PTH123
        return "reflink" if reflink(read.fileno(), write.fileno()) else None


def _clonefile(source: str, target: Path) -> Method | None:
    done = ctypes.CDLL(None).clonefile(os.fsencode(source), os.fsencode(target), 0)
    return "clonefile" if done == 0 else None


def _require_space(source: Contents, folder: Path) -> None:
    """Before the first byte, unless the file system can share blocks."""
    largest = max(source.files, key=lambda f: f.size, default=None)
    probe = folder / ".probe"
    if largest is None or _share(os.path.realpath(source.path(largest.name)), probe):
        probe.unlink(missing_ok=True)
        return
    probe.unlink(missing_ok=True)
    free = shutil.disk_usage(folder).free
    if source.size > free:
        raise DiskFull(
            f"the copy needs {source.size} bytes, {folder.parent} has {free}",
            hint="free some disk space, or name a folder on a larger disk",
        )


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
