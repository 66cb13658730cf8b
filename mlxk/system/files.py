"""Files that survive a crash: atomic writes and advisory locks; copies that share blocks."""

import errno
import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mlxk.contract import encoding
from mlxk.contract.errors import (
    CorruptState,
    DiskFull,
    InvalidValue,
    Locked,
    MlxkError,
    NotFound,
    PermissionDenied,
    UnsafePath,
)
from mlxk.system.paths import home

_FICLONE = 0x40049409  # <linux/fs.h>


def write_atomic(
    path: Path,
    data: bytes | Sequence[bytes | memoryview],
    *,
    mode: int = 0o644,
    durable: bool = True,
) -> None:
    """Write `data` whole or not at all: temporary file beside it, fsync, rename."""
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(fd, "wb") as file:
                file.writelines((data,) if isinstance(data, bytes) else data)
                file.flush()
                os.fchmod(fd, mode)
                if durable:
                    os.fsync(fd)
            Path(name).replace(path)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(name).unlink()
            raise


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold an flock on `path`, a folder or a file that is made; the kernel drops it when the holder
    dies. Locked when taken.
    """
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        how = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
        fd = os.open(path, how | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as e:
            raise Locked(f"another process holds {path}", path=str(path)) from e
        yield
    finally:
        os.close(fd)


@contextmanager
def locked_within(path: Path, seconds: float) -> Iterator[None]:
    """Like `locked`, but somebody who is nearly done is waited for."""
    deadline = time.monotonic() + seconds
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(path))
                break
            except Locked:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(0.02)
        yield


@contextmanager
def shared(path: Path) -> Iterator[bool]:
    """Wait while somebody holds `locked(path)`, then keep others from it; False: no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield True
    finally:
        os.close(fd)


def is_locked(path: Path, *, by_readers: bool = False) -> bool:
    """Whether a live process holds an flock on `path`; `by_readers`: a shared one counts too.

    The probe is a lock itself for a moment: a shared one, which other probes do not take for a
    holder, unless readers count.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if by_readers else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def reflink(source: int, target: int) -> bool:
    """Share the source's blocks copy-on-write, where the file system can (Linux)."""
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what the disk says (full, read-only, forbidden) into errors that users can act on."""
    try:
        yield
    except OSError as e:
        error = as_error(e, path)
        if error is None:
            raise
        raise error from e


def as_error(e: OSError, path: Path | str) -> MlxkError | None:
    if e.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no space left for {path}", hint="free some disk space, then try again")
    if e.errno == errno.EFBIG:
        text = f"{path} may not become that large"
        return DiskFull(text, hint="see ulimit -f, or use another file system")
    if e.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        text = str(path) if len(str(path)) < 100 else f"{str(path)[:100]}…"
        return InvalidValue(f"{text}: {os.strerror(e.errno).lower()}", hint="name another path")
    if e.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = os.strerror(e.errno).lower()
        return PermissionDenied(f"cannot use {path}: {reason}", path=str(path), hint=_other(path))
    return None


def misplaced(e: OSError) -> MlxkError | None:
    """A file where a folder belongs, a folder where a file does, or nothing at all."""
    match e:
        case OSError(filename=None):
            return None
        case NotADirectoryError() | FileExistsError():
            return CorruptState(f"a part of {e.filename} is not a folder", hint=_other(e.filename))
        case IsADirectoryError():
            return CorruptState(f"{e.filename} is a folder, not a file", hint=_other(e.filename))
        case FileNotFoundError():
            return NotFound(f"{e.filename} is not there", hint=_other(e.filename))
    return None


def _other(path: Path | str) -> str | None:
    return "MLXK_HOME=FOLDER names another" if Path(path).is_relative_to(home()) else None


def require_utf8(folder: Path) -> None:
    """MLX opens no other paths, and says so in no words."""
    if encoding.valid(str(folder)) != str(folder):
        message = f"the path {folder} is not UTF-8, which MLX cannot open"
        raise UnsafePath(message, hint="rename the folder", path=str(folder))
