"""The files of one model folder, looked at once: names, sizes, links. Knows no formats."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

# Links to folders are not followed, so this ends; a limit all the same.
_DEPTH = 32

Blobs = dict[tuple[int, int], str]  # device and inode to name


@dataclass(frozen=True, slots=True)
class File:
    """`name` is relative to the folder; `problem` says why the file cannot be read at all.

    `state` changes whenever the bytes do: times of change in nanoseconds, inode.
    """

    name: str
    size: int
    modified: float
    blob: str | None
    problem: str | None
    state: tuple[int, ...] = ()


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
    root = _boundary(folder)
    try:
        files = _walk(str(folder), "", root, _blobs(root), _DEPTH)
    except OSError as e:
        return Contents(folder, (), f"{printable(folder.name or str(folder))}: {_strerror(e)}")
    return Contents(folder, tuple(sorted(files, key=lambda file: file.name)))


def printable(name: str) -> str:
    """A file name as text that JSON can carry, also when it is not UTF-8 on disk."""
    return os.fsencode(name).decode("utf-8", "replace")


def _boundary(folder: Path) -> str:
    """What its links may not leave: the repository in the cache, else the folder itself."""
    inside_cache = folder.parent.name == "snapshots"
    return str(folder.parent.parent if inside_cache else folder)


def _blobs(root: str) -> Blobs:
    """By one stat these say which blob a link means.

    Empty where that would not be certain: a blob that is a link, or one inode with two names.
    """
    try:
        device = os.stat(f"{root}/blobs").st_dev  # noqa: PTH116 -- a Path costs more than the call
        with os.scandir(f"{root}/blobs") as entries:
            found = [(e.inode(), "" if e.is_symlink() else e.name) for e in entries]
    except OSError:
        return {}
    names = {(device, inode): name for inode, name in found}
    return names if len(names) == len(found) and all(names.values()) else {}


def _walk(folder: str, prefix: str, root: str, blobs: Blobs, depth: int) -> list[File]:
    files: list[File] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + printable(entry.name)
            if not entry.is_dir(follow_symlinks=False):
                files.append(_file(entry, name, root, blobs))
            elif depth and entry.name != ".git":
                files.extend(_walk(entry.path, f"{name}/", root, blobs, depth - 1))
    return files


def _file(entry: os.DirEntry[str], name: str, root: str, blobs: Blobs) -> File:
    try:
        info = os.stat(entry.path)  # noqa: PTH116
        is_link = entry.is_symlink()
        is_file = stat.S_ISREG(info.st_mode)
        blob = blobs.get((info.st_dev, info.st_ino)) if is_link and is_file else None
        problem = None
        if is_link and blob is None:
            target = os.readlink(entry.path)  # noqa: PTH115
            blob, problem = target.rpartition("/")[2], _escape(entry.path, target, root)
    except FileNotFoundError:
        return File(name, 0, 0.0, None, f"dangling link to {_target(entry)}")
    except OSError as e:
        return File(name, 0, 0.0, None, _strerror(e))
    if problem is None and not is_file:
        problem = "is a link to a folder" if stat.S_ISDIR(info.st_mode) else "is not a file"
    state = (info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
    return File(name, info.st_size, info.st_mtime, blob, problem, state)


def _target(entry: os.DirEntry[str]) -> str:
    try:
        return printable(os.readlink(entry.path))  # noqa: PTH115
    except OSError:
        return "?"


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
