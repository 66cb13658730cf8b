"""The files an agent may touch: one folder, no way out, no way into git. Knows no tools."""

import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlxk.contract.errors import UnsafePath
from mlxk.history.looking import is_gits


@dataclass(frozen=True, slots=True)
class Workspace:
    """`root` is the real path of the worktree. Every path a model names goes through `resolve`."""

    root: Path

    @classmethod
    def at(cls, folder: Path) -> "Workspace":
        return cls(folder.resolve(strict=True))

    def resolve(self, name: str) -> Path:
        """The real path of `name`. UnsafePath when it leaves the worktree or enters .git."""
        if "\0" in name or len(name) > 4096:
            raise UnsafePath("a path holds no NUL and at most 4096 characters")
        named = self.root / name
        real = Path(os.path.realpath(named))
        if not real.is_relative_to(self.root):
            raise UnsafePath(f"path is outside the worktree: {name}", path=name)
        parts = (*Path(name).parts, *real.relative_to(self.root).parts)
        if any(is_gits(os.fsencode(part)) for part in parts):
            raise UnsafePath(f"path belongs to git: {name}", path=name)
        if named.is_symlink() and not named.exists():
            raise UnsafePath(f"path is a link that leads nowhere: {name}", path=name)
        return real

    def relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def read(self, name: str, limit: int) -> bytes:
        """The first `limit` bytes of a file. FIFOs, devices, hard links and folders are refused."""
        path = self.resolve(name)
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            _require_file(os.fstat(fd), name)
            return file.read(limit)

    def write(self, name: str, data: bytes) -> str:
        """Replace a file whole, keeping its mode."""
        path = self.resolve(name)
        mode = _mode_to_keep(path, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=".mlxk-")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                os.fchmod(fd, mode)
            Path(temporary).replace(path)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise
        return self.relative(path)


def _mode_to_keep(path: Path, name: str) -> int:
    try:
        known = path.lstat()
    except FileNotFoundError:
        return 0o644
    _require_file(known, name)
    return stat.S_IMODE(known.st_mode)


def _require_file(known: os.stat_result, name: str) -> None:
    """One file with one name: another name of it may be anywhere."""
    if stat.S_ISDIR(known.st_mode):
        raise IsADirectoryError(name)
    if not stat.S_ISREG(known.st_mode):
        raise UnsafePath(f"not a regular file: {name}", path=name)
    if known.st_nlink > 1:
        raise UnsafePath(f"a hard link, with another name elsewhere: {name}", path=name)
