"""Which names in which folders were touched, as Linux's inotify tells it. Reads no file.

Whoever asks looks at the names itself: an event too many costs a look, and where events may be
missing the answer is None, which means a full scan.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self

from mlxk.history.disk import filesystem

# Kept by the kernel alone: nobody changes these from another machine.
_LOCAL = frozenset({"ext4", "ext3", "ext2", "xfs", "btrfs", "f2fs", "tmpfs", "bcachefs", "zfs"})
_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x2, 0x4, 0x8
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_UNMOUNT, _OVERFLOW, _IGNORED = 0x2000, 0x4000, 0x8000
_IS_FOLDER, _ONLY_FOLDERS = 0x40000000, 0x01000000
_TOUCHED = _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_MASK = _TOUCHED | _DELETE_SELF | _MOVE_SELF | _ONLY_FOLDERS
_HEAD = struct.Struct("iIII")
_BUFFER = 1 << 18

Touched = dict[bytes, set[bytes]]  # a folder's path ("" or ending in a slash) -> names in it


class _Event(NamedTuple):
    folder: bytes
    name: bytes
    mask: int
    cookie: int  # the same for both halves of a move


class _Suspicion:
    """Of names that were written and are gone, or went where nobody listens: each may have been a
    hard link.
    """

    def __init__(self) -> None:
        self._written: set[tuple[bytes, bytes]] = set()
        self._moved: dict[int, bool] = {}  # by cookie: whether it was written before
        self._certain = False

    @property
    def remains(self) -> bool:
        return self._certain or bool(self._moved)

    def hear(self, event: _Event) -> None:
        at = event.folder, event.name
        if event.mask & (_MODIFY | _CLOSE_WRITE):
            self._written.add(at)
        elif event.mask & _MOVED_FROM:
            self._moved[event.cookie] = at in self._written
            self._written.discard(at)
        elif event.mask & (_DELETE | _MOVED_TO):
            self._certain |= at in self._written
            if self._moved.pop(event.cookie, False):
                self._written.add(at)


class Watch:
    """Of one worktree. A folder is watched from `add` on; what happened before is not told."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._folders: dict[int, bytes] = {}
        self.is_broken = False  # nothing more will be told

    @classmethod
    def over(cls, root: Path) -> Self | None:
        """None where the kernel cannot tell everything that happens."""
        if sys.platform != "linux" or filesystem(root) not in _LOCAL:
            return None
        fd = _libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        return cls(fd) if fd >= 0 else None

    def add(self, fd: int, path: bytes) -> None:
        """The folder that is open as `fd`. Asked anew each time: the kernel knows it by its inode,
        whatever was at that path before.
        """
        name = b"/proc/self/fd/%d" % fd
        number = _libc().inotify_add_watch(self._fd, name, _MASK)
        if number < 0:
            self.is_broken = True  # no watches left
        else:
            self._folders[number] = path

    def touched(self) -> Touched | None:
        """Since the last call. None: events were lost, a folder could not be watched, or a file
        was written and then removed, which may have been another name of one that is still there.
        """
        found: Touched = {}
        suspicion = _Suspicion()
        while not self.is_broken:
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return None if suspicion.remains else found
            for event in self._events(data):
                found.setdefault(event.folder, set()).add(event.name)
                suspicion.hear(event)
        return None

    def close(self) -> None:
        if self._fd >= 0:
            with suppress(OSError):
                os.close(self._fd)
        self._fd = -1

    def _events(self, data: bytes) -> Iterator[_Event]:
        at = 0
        while at < len(data):
            number, mask, cookie, length = _HEAD.unpack_from(data, at)
            name = data[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0")
            at += _HEAD.size + length
            folder = self._folders.get(number)
            if mask & (_OVERFLOW | _UNMOUNT) or (folder == b"" and mask & _MOVE_SELF):
                self.is_broken = True
            elif mask & _IGNORED:
                self._folders.pop(number, None)
            elif folder is not None and name and not (mask & _IS_FOLDER and mask & _ATTRIB):
                yield _Event(folder, name, mask, cookie)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
