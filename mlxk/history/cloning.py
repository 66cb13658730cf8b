"""Copies the files of a checkout that are what they were, folder by folder.

Also a program, so that every core can help. It imports nothing that takes time:

    python -I -S cloning.py < jobs > outcome      (both marshalled)
"""

import marshal
import os
import sys

Signature = tuple[
    int, int, int, int
]  # mtime, ctime (ns), size, inode (32 bits, as git's index has it)
File = tuple[bytes, Signature, bool]  # name, how it looked when it was known, executable
Folderful = tuple[bytes, list[File]]  # "src/app/", its files
Outcome = list[list[Signature | None]]  # None: not what it was, so nothing was written

LARGEST = 1 << 16  # above, cloning on the file system may be quicker
# Follows no link and waits for nobody.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
INSIDE = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def signature(info: os.stat_result) -> Signature:
    return info.st_mtime_ns, info.st_ctime_ns, info.st_size, info.st_ino & 0xFFFFFFFF


def clone(source: bytes, target: bytes, folders: list[Folderful]) -> Outcome:
    """How the new files look; `target` has the folders already. OSError."""
    return [_folder(source + prefix, target + prefix, files) for prefix, files in folders]


def _folder(source: bytes, target: bytes, files: list[File]) -> list[Signature | None]:
    try:
        inner = os.open(source, INSIDE)
    except OSError:
        return [None] * len(files)
    try:
        outer = os.open(target, INSIDE)
        try:
            return [_copy(inner, outer, *file) for file in files]
        finally:
            os.close(outer)
    finally:
        os.close(inner)


def _copy(
    source: int, target: int, name: bytes, known: Signature, is_executable: bool
) -> Signature | None:
    try:
        inner = os.open(name, READ, dir_fd=source)
    except OSError:
        return None
    try:
        data = os.read(inner, LARGEST)
        # Afterwards: what changed before that shows.
        if signature(os.fstat(inner)) != known or len(data) != known[2]:
            return None
    except OSError:
        return None
    finally:
        os.close(inner)
    try:
        outer = os.open(name, WRITE, 0o777 if is_executable else 0o666, dir_fd=target)
    except FileExistsError:
        return None
    try:
        while data:  # a full disk shows as a short write first
            data = data[os.write(outer, data) :]
        return signature(os.fstat(outer))
    finally:
        os.close(outer)


def main() -> None:
    source, target, share = marshal.load(sys.stdin.buffer)
    found: object
    try:
        found = clone(source, target, share)
    except OSError as e:
        found = (e.errno, e.strerror)
    marshal.dump(found, sys.stdout.buffer)


if __name__ == "__main__":
    main()
