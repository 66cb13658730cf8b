"""What was last known of a folder on disk: which file had which bytes when it looked how.

Knows no git history.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from mlxk.history.trees import Entry

Signature = tuple[
    int, int, int, int
]  # mtime, ctime (ns), size, inode (32 bits, as git's index has it)
NEVER = (-1, -1, -1, -1)
_TICK = 50_000_000  # a file system's clock may stand still this long (ns)
_SECOND = 1_000_000_000


class Known(NamedTuple):
    """`entry` is what the file held when it had `signature`; without, never look at it."""

    signature: Signature | None
    entry: Entry | None  # None: new, not read yet


class Folder:
    """Mutable, updated by every scan. `seen` is the mtime its names were listed at."""

    __slots__ = ("files", "folders", "seen")

    def __init__(self) -> None:
        self.files: dict[bytes, Known] = {}
        self.folders: dict[bytes, Folder] = {}
        self.seen = -1

    def put(self, path: bytes, known: Known) -> None:
        *folders, name = path.split(b"/")
        self.at(folders).files[name] = known

    def pop(self, path: bytes) -> None:
        *folders, name = path.split(b"/")
        self.at(folders).files.pop(name, None)

    def at(self, folders: list[bytes]) -> "Folder":
        folder = self
        for name in folders:
            folder = folder.folders.setdefault(name, Folder())
        return folder

    def get(self, path: bytes) -> Known | None:
        *folders, name = path.split(b"/")
        folder: Folder | None = self
        for part in folders:
            folder = folder.folders.get(part) if folder else None
        return folder.files.get(name) if folder else None

    def distrust_recent(self, unless: Callable[[bytes], bool], prefix: bytes = b"") -> None:
        """The next scan reads the files that were written a moment ago."""
        for name, (signature, entry) in self.files.items():
            if signature and is_recent(max(signature[:2])) and not unless(prefix + name):
                self.files[name] = Known(NEVER, entry)
        for name, folder in self.folders.items():
            folder.distrust_recent(unless, prefix + name + b"/")

    def walk(self, prefix: bytes = b"") -> Iterator[tuple[bytes, Known]]:
        for name, known in self.files.items():
            yield prefix + name, known
        for name, folder in self.folders.items():
            yield from folder.walk(prefix + name + b"/")


def signature(info: os.stat_result) -> Signature:
    return info.st_mtime_ns, info.st_ctime_ns, info.st_size, info.st_ino & 0xFFFFFFFF


def trusted(info: os.stat_result) -> Signature:
    """The signature, or one that never matches while another write could still look the same."""
    return NEVER if is_recent(max(info.st_mtime_ns, info.st_ctime_ns)) else signature(info)


def is_recent(mtime: int) -> bool:
    age = time.time_ns() - mtime
    return age < (_SECOND * 2 if mtime % _SECOND == 0 else _TICK)
