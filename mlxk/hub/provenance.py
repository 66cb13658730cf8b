"""The note in a workspace: what the model was when it came, and whether it still is."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import orjson

from mlxk.hub import checksum
from mlxk.hub.contents import Contents, File
from mlxk.hub.workspace import PROVENANCE
from mlxk.system.clock import Clock, now, stamp
from mlxk.system.files import write_atomic


@dataclass(frozen=True, slots=True)
class Record:
    """A file as it was when the note was written; size and time tell cheaply if it changed."""

    size_bytes: int
    modified_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Note:
    """`content_hash` covers the names and bytes of all files, weights included."""

    origin: str
    revision: str | None
    created: str
    content_hash: str
    files: Mapping[str, Record]


@dataclass(frozen=True, slots=True)
class State:
    """A workspace against its note: `is_clean` by sizes and times, without reading the files."""

    origin: str
    revision: str | None
    content_hash: str
    is_clean: bool
    changed: tuple[str, ...]


def read(folder: Path) -> Note | None:
    """The note; None when there is none that can be understood."""
    try:
        note = orjson.loads((folder / PROVENANCE).read_bytes())
        files = {name: Record(**record) for name, record in note["files"].items()}
        return Note(note["origin"], note["revision"], note["created"], note["content_hash"], files)
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None


def write(
    contents: Contents,
    origin: str,
    revision: str | None,
    *,
    known: Mapping[str, str] = MappingProxyType({}),
    clock: Clock = now,
) -> Note:
    """Leave a note in a folder; `known` are checksums that need not be computed, by name."""
    files = {f.name: _record(contents, f, known.get(f.name)) for f in _own(contents)}
    note = Note(origin, revision, stamp(clock()), content_hash(files), files)
    data = orjson.dumps(asdict(note), option=orjson.OPT_INDENT_2)
    write_atomic(contents.folder / PROVENANCE, data)
    return note


def known(contents: Contents) -> dict[str, str]:
    """What the cache's names tell: the sha256 of its large files."""
    return {f.name: f.blob for f in contents.files if f.blob and checksum.is_sha256(f.blob)}


def content_hash(files: Mapping[str, Record]) -> str:
    digest = hashlib.sha256()
    for name, record in sorted(files.items()):
        digest.update(f"{name}\0{record.sha256}\n".encode())
    return digest.hexdigest()


def state(contents: Contents) -> State | None:
    note = read(contents.folder)
    if note is None:
        return None
    here = {f.name: f for f in _own(contents)}
    names = sorted(here.keys() | note.files.keys())
    changed = tuple(n for n in names if not _is_same(contents, here.get(n), note.files.get(n)))
    return State(note.origin, note.revision, note.content_hash, not changed, changed)


def _own(contents: Contents) -> tuple[File, ...]:
    return tuple(f for f in contents.files if f.name != PROVENANCE and f.problem is None)


def _is_same(contents: Contents, file: File | None, record: Record | None) -> bool:
    if file is None or record is None or file.size != record.size_bytes:
        return False
    return _modified_ns(contents.path(file.name)) == record.modified_ns


def _record(contents: Contents, file: File, sha256: str | None) -> Record:
    path = contents.path(file.name)
    if sha256 is None:
        digest = hashlib.sha256()
        checksum.feed(digest, path)
        sha256 = digest.hexdigest()
    return Record(file.size, _modified_ns(path), sha256)


def _modified_ns(path: str) -> int:
    return os.stat(path).st_mtime_ns  # noqa: PTH116
