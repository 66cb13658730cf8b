"""The files of one model folder, looked at once: names, sizes, links. Knows no formats."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

# Links to folders are not followed, so this ends; a limit all the same.
_DEPTH = 32


@dataclass(frozen=True, slots=True)
class File:
    """`name` is relative to the folder; `problem` says why the file cannot be read at all."""

    name: str
    size: int
    modified: float
    blob: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Contents:
    folder: Path
    files: tuple[File, ...]
    problem: str | None = None

    def find(self, name: str) -> File | None:
        return next((file for file in self.files if file.name == name), None)

    def path(self, name: str) -> str:
        return f"{self.folder}{os.sep}{name}"

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def modified(self) -> float | None:
        return max((file.modified for file in self.files), default=None)


def scan(folder: Path) -> Contents:
    """Everything in `folder`, sorted by name; a folder that cannot be read has a `problem`."""
    try:
        files = _walk(str(folder), "", _boundary(folder), _DEPTH)
    except OSError as e:
        return Contents(folder, (), f"{printable(folder.name)}: {_strerror(e)}")
    return Contents(folder, tuple(sorted(files, key=lambda file: file.name)))


def boundary(folder: Path) -> Path:
    """What the links of a model folder may not leave: its repository in the cache, else itself."""
    return Path(_boundary(folder))


def printable(name: str) -> str:
    """A file name as text that JSON can carry, also when it is not UTF-8 on disk."""
    return os.fsencode(name).decode("utf-8", "replace")


def _boundary(folder: Path) -> str:
    inside_cache = folder.parent.name == "snapshots"
    return str(folder.parent.parent if inside_cache else folder)


def _walk(folder: str, prefix: str, root: str, depth: int) -> list[File]:
    files: list[File] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + printable(entry.name)
            if not entry.is_dir(follow_symlinks=False):
                files.append(_file(entry, name, root))
            elif depth and entry.name != ".git":
                files.extend(_walk(entry.path, f"{name}/", root, depth - 1))
    return files


def _file(entry: os.DirEntry[str], name: str, root: str) -> File:
    target: str | None = None
    try:
        target = os.readlink(entry.path) if entry.is_symlink() else None  # noqa: PTH115
        info = os.stat(entry.path)  # noqa: PTH116 -- a Path costs more than the call
    except FileNotFoundError:
        return File(name, 0, 0.0, None, f"dangling link to {printable(target or '?')}")
    except OSError as e:
        return File(name, 0, 0.0, None, _strerror(e))
    problem = None if target is None else _escape(entry.path, target, root)
    if problem is None and not stat.S_ISREG(info.st_mode):
        problem = "is a link to a folder" if stat.S_ISDIR(info.st_mode) else "is not a file"
    blob = None if target is None else target.rpartition("/")[2]
    return File(name, info.st_size, info.st_mtime, blob, problem)


def _escape(path: str, target: str, root: str) -> str | None:
    head, _, blob = target.rpartition("/")
    is_ordinary = head == "../../blobs" and blob not in ("", ".", "..")
    if is_ordinary and path.count("/", len(root)) == 3 and not _is_link(f"{root}/blobs/{blob}"):
        return None
    real = os.path.realpath(path)
    allowed = [os.path.realpath(root)]
    if "/models--" in root:
        # huggingface_hub keeps files that several repositories share in `blobs` beside them.
        allowed.append(os.path.realpath(f"{root}/../blobs"))
    if any(real.startswith(f"{inside}/") for inside in allowed):
        return None
    return f"is a link that leaves the folder, to {printable(target)}"


def _is_link(path: str) -> bool:
    return os.path.islink(path)  # noqa: PTH114


def _strerror(e: OSError) -> str:
    return os.strerror(e.errno).lower() if e.errno else str(e)
