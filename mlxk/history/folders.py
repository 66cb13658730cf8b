"""What was last known of a folder on disk: which file had which bytes when it looked how.

Knows no git history.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from mlxk.history.cloning import Signature, signature
from mlxk.history.trees import Entry

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

    @staticmethod
    def of(entries: Iterable[tuple[bytes, Known]]) -> "Folder":
        """Quick when the paths are in order."""
        top = folder = Folder()
        last = b""
        for path, known in entries:
            prefix, _, name = path.rpartition(b"/")
            if prefix != last:
                folder, last = top.at(prefix.split(b"/")) if prefix else top, prefix
            folder.files[name] = known
        return top

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
        before = time.time_ns() - _SECOND * 2
        for name, (looks, entry) in self.files.items():
            if not looks or looks[1] < before:  # nothing is younger than its ctime
                continue
            if is_recent(max(looks[:2])) and not unless(prefix + name):
                self.files[name] = Known(NEVER, entry)
        for name, folder in self.folders.items():
            folder.distrust_recent(unless, prefix + name + b"/")

    def walk(self, prefix: bytes = b"") -> Iterator[tuple[bytes, Known]]:
        for name, known in self.files.items():
            yield prefix + name, known
        for name, folder in self.folders.items():
            yield from folder.walk(prefix + name + b"/")


def trusted(info: os.stat_result) -> Signature:
    """The signature, or one that never matches while another write could still look the same."""
    return NEVER if is_recent(max(info.st_mtime_ns, info.st_ctime_ns)) else signature(info)


def is_recent(mtime: int) -> bool:
    age = time.time_ns() - mtime
    return age < (_SECOND * 2 if mtime % _SECOND == 0 else _TICK)
