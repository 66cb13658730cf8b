"""Search files for a pattern: a small program of its own, run by Grep. Imports nothing of mlxk."""

import os
import re
import stat
import sys
from collections.abc import Iterator
from fnmatch import fnmatch, fnmatchcase

_LARGEST = 16 << 20
_LONGEST_LINE = 500


def files(below: str) -> Iterator[str]:
    """Regular files in sorted order; no symbolic links, no `.git`."""
    if not os.path.isdir(below):  # noqa: PTH112 -- a child process that starts in 15 ms
        yield below
        return
    for folder, folders, names in os.walk(below):
        folders[:] = sorted(d for d in folders if d.casefold() != ".git")
        for name in sorted(names):
            yield os.path.normpath(f"{folder}/{name}")


def read(path: str) -> bytes:
    """The bytes of a regular text file with one name, else nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with os.fdopen(fd, "rb") as file:
        known = os.fstat(fd)
        if not stat.S_ISREG(known.st_mode) or known.st_nlink > 1:
            return b""
        data = file.read(_LARGEST)
    return b"" if b"\0" in data[:8192] else data


def main(pattern: str, below: str, glob: str, *hidden: str) -> None:
    """Print the lines that match, of files whose path matches `glob` and no `hidden` one."""
    expression = re.compile(pattern)
    for path in files(below):
        name = path.rpartition("/")[2]
        if name.casefold() == ".git" or (glob and not (fnmatch(name, glob) or fnmatch(path, glob))):
            continue
        if any(fnmatchcase(path, rule) for rule in hidden):
            continue
        for number, line in enumerate(read(path).decode(errors="replace").splitlines(), 1):
            if expression.search(line):
                out = f"{path}:{number}:{line[:_LONGEST_LINE]}\n"
                sys.stdout.buffer.write(out.encode(errors="replace"))


if __name__ == "__main__":
    main(*sys.argv[1:])
