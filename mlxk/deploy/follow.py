"""A log as it grows: every line once, also across archiving. Changes nothing."""

import gzip
import io
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from mlxk.deploy import logs
from mlxk.deploy.logs import Line

_MARK = 256
_PIECE = 1 << 20
_PAUSE_S = 0.2

_Archive = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """How far a log is read. `mark` is what stands before `offset`; `known` archives are older.

    An archive is known by its inode and time: its number changes, and an inode is used again.
    """

    offset: int
    mark: bytes
    known: frozenset[_Archive]


@dataclass(frozen=True, slots=True)
class _Missed:
    """`first` and `later` were archived since the last look; what `place` says is read after."""

    sources: tuple[BinaryIO, ...]
    data: bytes
    place: Place


def end(path: Path) -> Place:
    """Behind the last whole line. Ask for it under `logs.steady`."""
    data = b""
    offset = 0
    with suppress(FileNotFoundError), path.open("rb") as file:
        offset = file.seek(0, io.SEEK_END)
        while offset and not data.endswith(b"\n"):
            start = max(0, offset - _PIECE)
            file.seek(start)
            data = file.read(offset - start)
            data = data[: data.rfind(b"\n") + 1]
            offset = start + len(data)
    return Place(offset, data[-_MARK:], frozenset(_archives(path)))


def follow(home: Path, name: str, place: Place) -> Iterator[Line]:
    """New lines for ever, those between the last look and an archiving included."""
    rest = b""
    for piece in _pieces(logs.path_of(home, name), place):
        *whole, rest = (rest + piece).split(b"\n")
        yield from logs.stamped((text.decode(errors="replace") for text in whole), name)


def _pieces(path: Path, place: Place) -> Iterator[bytes]:
    while True:
        with ExitStack() as opened:
            with logs.steady(path) as is_steady:
                found = _look(path, place, opened)
            if not is_steady and logs.lock_of(path).exists():
                continue  # the first archiving of all began meanwhile
            place = found.place
            for source in found.sources:
                while piece := source.read(_PIECE):
                    yield piece
        if found.data:
            yield found.data
        elif not found.sources:
            time.sleep(_PAUSE_S)


def _look(path: Path, place: Place, opened: ExitStack) -> _Missed:
    archives = _archives(path)
    later = [archive for who, archive in archives.items() if who not in place.known]
    data = _after(path, place)
    if data is None and place.mark and (copy := logs.copy_of(path)).exists():
        later.append(copy)  # whoever archived it was killed
    sources: list[BinaryIO] = []
    for archive in later:
        file = opened.enter_context(_open(archive))
        if sources or _is_at(file, place):
            sources.append(file)
    if sources or data is None:
        place = Place(0, b"", place.known)
        data = _after(path, place) or b""
    mark = (place.mark + data)[-_MARK:]
    place = Place(place.offset + len(data), mark, frozenset(archives))
    return _Missed(tuple(sources), data, place)


def _after(path: Path, place: Place) -> bytes | None:
    """None: the log is not the one that was read so far."""
    try:
        with path.open("rb") as file:
            return file.read(_PIECE) if _is_at(file, place) else None
    except FileNotFoundError:
        return None if place.offset else b""


def _is_at(file: BinaryIO, place: Place) -> bool:
    """Go to the place, if this is the file that it was in."""
    file.seek(place.offset - len(place.mark))
    return file.read(len(place.mark)) == place.mark


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _archives(path: Path) -> dict[_Archive, Path]:
    """Oldest first."""
    found = ((archive.stat(), archive) for archive in logs.archives(path))
    return {(about.st_ino, about.st_mtime_ns): archive for about, archive in found}
