"""What stands at a name in an open folder. Follows no link, reads no file."""

import errno
import os
import stat
import unicodedata
from pathlib import Path

from mlxk.contract.errors import CorruptState
from mlxk.history.cloning import INSIDE
from mlxk.history.folders import Folder

_INODE = 0xFFFFFFFF


def top(root: Path) -> int:
    """The worktree, open."""
    try:
        return os.open(root, INSIDE)
    except FileNotFoundError as e:
        raise CorruptState(
            f"{root} is gone", path=str(root), hint="resume the session to have it written again"
        ) from e


def at(name: bytes, fd: int) -> os.stat_result | None:
    """None when nothing stands there."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_linked(info: os.stat_result | None) -> bool:
    return info is not None and info.st_nlink > 1 and stat.S_ISREG(info.st_mode)


def changed(folder: Folder, fd: int) -> list[bytes]:
    """Files that no longer look as they did: the inner loop of every scan."""
    look, changed = os.stat, []
    for name, (wanted, _) in folder.files.items():
        if wanted is not None:
            try:
                info = look(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                changed.append(name)
                continue
            if (  # nothing changes a file without changing its ctime
                info.st_ctime_ns != wanted[1]
                or info.st_size != wanted[2]
                or info.st_ino & _INODE != wanted[3]
                or info.st_nlink > 1
            ):
                changed.append(name)
    return changed


def is_gits(name: bytes) -> bool:
    """`.git` as any file system may spell it: git itself neither adds nor checks it out."""
    if b"git" not in name.lower() and name.isascii():
        return False
    folded = unicodedata.normalize("NFKC", os.fsdecode(name)).casefold()
    bare = "".join(c for c in folded if unicodedata.category(c) != "Cf").rstrip(" .")
    return bare.partition(":")[0].rstrip(" .") in {".git", "git~1"}


def enter(name: bytes, fd: int) -> int | None:
    """The folder `name`, open; None when no folder stands there."""
    try:
        return os.open(name, INSIDE, dir_fd=fd)
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise
