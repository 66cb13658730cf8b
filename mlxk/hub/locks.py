"""Who works on a cached model right now: advisory locks that die with their process."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlxk.hub.cache import Repo
from mlxk.system.files import is_locked, locked

# Two files: a download may add a revision while an engine reads another.
_WRITER = "mlxk-write.lock"
_READERS = "mlxk-read.lock"


def folder(repo: Repo) -> Path:
    """Where huggingface_hub keeps the lock files of a repository."""
    return repo.folder.parent / ".locks" / repo.folder.name


@contextmanager
def exclusive(repo: Repo) -> Iterator[None]:
    """For whoever writes the model: raises Locked while another process does."""
    with locked(folder(repo) / _WRITER):
        yield


@contextmanager
def reading(model: Path) -> Iterator[None]:
    """For whoever uses a model's files for long, like an engine: `rm` refuses meanwhile.

    Does nothing for a folder outside the cache, or in a cache that may not be written.
    """
    repo = Repo(model.name, model.parent.parent)
    if model.parent.name != "snapshots" or (fd := _opened(folder(repo))) is None:
        yield
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


def _opened(locks: Path) -> int | None:
    try:
        locks.mkdir(parents=True, exist_ok=True)
        return os.open(locks / _READERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
    except OSError:
        return None


def files(repo: Repo) -> tuple[Path, ...]:
    """All lock files of the repository, held or left behind."""
    try:
        return tuple(sorted(p for p in folder(repo).rglob("*.lock") if p.is_file()))
    except OSError:
        return ()


def held(repo: Repo) -> tuple[Path, ...]:
    """Those that a live process holds; the kernel knows, so a crash leaves nothing behind."""
    return tuple(path for path in files(repo) if is_locked(path, by_readers=True))
