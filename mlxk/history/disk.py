"""What a file system must be told so that written files survive a power cut. Knows no git."""

import ctypes
import fcntl
import os
import shutil
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from mlxk.system.files import translated

# One journal holds every file's metadata here: when one file is synced, files written out before
# it are safe too.
_ONE_JOURNAL = frozenset({"ext4", "xfs", "tmpfs"})
_START, _WAIT = 2, 1 | 2 | 4  # SYNC_FILE_RANGE_WRITE; with _WAIT_BEFORE and _WAIT_AFTER
_F_FULLFSYNC = 51


class Batch:
    """Files being written together: begin their write-out one by one, wait for all of them once."""

    def __init__(self, folder: Path) -> None:
        self._shared_journal = filesystem(folder) in _ONE_JOURNAL and _write_out() is not None
        self._pending: list[int] = []

    def take(self, fd: int) -> None:
        """Own `fd`, whose bytes are all written."""
        self._pending.append(fd)
        if self._shared_journal:
            _range(fd, _START)
        else:
            # On macOS this writes out without flushing the drive: the barrier does that once.
            os.fsync(fd)

    def wait(self, *, durable: bool = False) -> None:
        """After this, one `barrier` on the same file system makes all of them durable.

        `durable` does that at once.
        """
        pending, self._pending = self._pending, []
        try:
            for fd in pending if self._shared_journal else ():
                _range(fd, _WAIT)
            if durable and pending:
                barrier(pending[-1])
        finally:
            for fd in pending:
                os.close(fd)


def barrier(fd: int) -> None:
    """Everything written out before, and `fd`, is on the disk itself."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, _F_FULLFSYNC)
    else:
        os.fsync(fd)


def write_all(fd: int, data: bytes) -> None:
    """A full disk shows as a short write first."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _range(fd: int, flags: int) -> None:
    write_out = _write_out()
    if write_out is None or write_out(fd, ctypes.c_int64(0), ctypes.c_int64(0), flags) != 0:
        os.fsync(fd)


@cache
def _write_out() -> "ctypes._NamedFuncPointer | None":
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "sync_file_range", None)


def filesystem(folder: Path) -> str | None:
    """The type of the file system under `folder`, from the kernel's mount table."""
    if sys.platform != "linux":
        return None
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        table = Path("/proc/self/mountinfo").read_text(errors="replace")
    except OSError:
        return None
    for line in table.splitlines():
        fields, _, rest = line.partition(" - ")
        if fields.split()[2] == wanted:
            return rest.split()[0]
    return None


def scrap(folder: Path) -> None:
    """By rename first: what bears the name is always whole or absent."""
    if not folder.is_dir():
        return
    with translated(folder), suppress(FileNotFoundError):
        retired = folder.with_name(f".{folder.name}.{os.getpid()}.{time.monotonic_ns()}")
        folder.rename(retired)
        shutil.rmtree(retired, ignore_errors=True)
        if retired.exists():
            _open_up(retired)
            shutil.rmtree(retired)


def _open_up(folder: Path) -> None:
    """A tool may have made folders read-only."""
    folder.chmod(0o700)
    for parent, names, _ in os.walk(folder):
        for name in names:
            if not (inner := Path(parent, name)).is_symlink():
                inner.chmod(0o700)
