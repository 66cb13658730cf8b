"""Pieces of past sequences on disk: a chain of files, found by the tokens they stand for.

A file's name says which piece it continues, which it is, and where it ends. A piece's id is a
digest of the piece before it and of its own tokens, begun with the model's fingerprint: other
weights can never meet it. Whatever cannot be read is removed and counts as never written.
Knows bytes, not arrays.
"""

import os
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from mlxk.engine.packing import packed
from mlxk.system.files import write_atomic

BLOCK = 256
_MAGIC = b"mlxk-kv1"
_HEAD = struct.Struct("<8s16s16sIQ")
_SUFFIX = ".kv"
# A look at a folder takes the longer the more is in it: so many times that long until the next.
_REST = 50.0
# Somebody else may fill the folder, too; and what is taken away beyond the limit, to last a while.
_CHECK_S = 60.0
_SPARE = 0.05
# What is still being written is younger; a process that was killed never comes back to it.
_ABANDONED_S = 600.0


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens [start, end) of a sequence; `has_state` when a sequence can be resumed at `end`."""

    parent: str
    id: str
    start: int
    end: int
    has_state: bool

    @property
    def file_name(self) -> str:
        mark = "s" if self.has_state else "n"
        return f"{self.parent}-{self.id}-{self.start}-{self.end}-{mark}{_SUFFIX}"


class Segments:
    """A folder that several processes may share. `limit_bytes` bounds it and those beside it."""

    def __init__(self, folder: Path, fingerprint: bytes, limit_bytes: int) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._limit_bytes = limit_bytes
        self._root = blake2b(fingerprint, digest_size=16).hexdigest()
        self._by_parent: dict[str, dict[str, Segment]] = {}
        self._by_file: dict[str, Segment] = {}
        self._listed_ns = -1
        self._look_at = 0.0
        self._check_at = 0.0
        self._room = 0
        self._list()  # the first look is the longest: not while somebody waits for an answer

    @property
    def count(self) -> int:
        return len(self._by_file)

    def split(self, tokens: Sequence[int], *, whole: bool) -> Iterator[Segment]:
        """The pieces of a sequence: blocks and a tail, or one piece where `whole`."""
        parent, start = self._root, 0
        while start < len(tokens):
            end = len(tokens) if whole else min(start + BLOCK, len(tokens))
            yield (piece := self._piece(parent, tokens, start, end))
            parent, start = piece.id, end

    def known(self, piece: Segment) -> bool:
        return piece.id in self._by_parent.get(piece.parent, {})

    def find(self, tokens: Sequence[int], *, needs_state: bool) -> list[Segment]:
        """The longest known chain that the sequence begins with and can be resumed from."""
        self._list()
        chain: list[Segment] = []
        best = 0
        parent, start = self._root, 0
        while (piece := self._next(parent, tokens, start)) is not None:
            chain.append(piece)
            if piece.has_state or not needs_state:
                best = len(chain)
            parent, start = piece.id, piece.end
        return chain[:best]

    def write(self, piece: Segment, body: Sequence[bytes | memoryview]) -> None:
        """The parts of `body` are not joined: that would hold up all other threads."""
        check = size = 0
        for part in body:
            check, size = zlib.crc32(part, check), size + memoryview(part).nbytes
        ids = bytes.fromhex(piece.parent), bytes.fromhex(piece.id)
        head = _HEAD.pack(_MAGIC, *ids, check, size)
        # Who can read this can tell what was said.
        path = self._folder / piece.file_name
        write_atomic(path, (head, *body), mode=0o600, durable=False)
        self._know(piece)
        self._room -= _HEAD.size + size
        if self._room <= 0 or time.monotonic() >= self._check_at:
            self._shrink()

    def read(self, piece: Segment) -> bytes | None:
        """The body, or None when the file is gone or is not what its name says."""
        path = self._folder / piece.file_name
        try:
            data = path.read_bytes()
        except OSError:
            self._forget(piece)
            return None
        if (body := _body(piece, data)) is None:
            self.discard(piece)
            return None
        with suppress(OSError):
            path.touch()
        return body

    def discard(self, piece: Segment) -> None:
        self._forget(piece)
        with suppress(OSError):
            (self._folder / piece.file_name).unlink()

    def _piece(self, parent: str, tokens: Sequence[int], start: int, end: int) -> Segment:
        digest = blake2b(bytes.fromhex(parent), digest_size=16, key=self._fingerprint[:64])
        digest.update(packed(tokens[start:end]))
        return Segment(parent, digest.hexdigest(), start, end, has_state=False)

    def _next(self, parent: str, tokens: Sequence[int], start: int) -> Segment | None:
        """The longest child whose tokens come next in the sequence."""
        children = self._by_parent.get(parent, {})
        # The thread that writes adds children meanwhile: look at a copy.
        pieces = tuple(children.values())
        ends = {piece.end for piece in pieces if start < piece.end <= len(tokens)}
        for end in sorted(ends, reverse=True):
            if found := children.get(self._piece(parent, tokens, start, end).id):
                return found
        return None

    def _list(self) -> None:
        """Files of other processes too; only when the folder has changed, and not without rest."""
        if (began := time.monotonic()) < self._look_at:
            return
        with suppress(OSError):
            changed = self._folder.stat().st_mtime_ns
            if changed != self._listed_ns:
                self._listed_ns = changed
                self._compare()
                self._look_at = time.monotonic() + _REST * (time.monotonic() - began)

    def _compare(self) -> None:
        """What the thread that writes adds meanwhile is neither new nor gone."""
        before = set(self._by_file)
        there = set(os.listdir(self._folder))  # noqa: PTH208 -- as paths it takes ten times as long
        for name in there - before:
            if (piece := _named(name)) is not None:
                self._know(piece)
        for name in before - there:
            if (piece := self._by_file.get(name)) is not None:
                self._forget(piece)

    def _know(self, piece: Segment) -> None:
        self._by_parent.setdefault(piece.parent, {})[piece.id] = piece
        self._by_file[piece.file_name] = piece

    def _forget(self, piece: Segment) -> None:
        siblings = self._by_parent.get(piece.parent, {})
        siblings.pop(piece.id, None)
        self._by_file.pop(piece.file_name, None)

    def _shrink(self) -> None:
        """The least recently used files go first, also those of models beside this one.

        Half of the room that is left is for others who write here.
        """
        _sweep(self._folder.parent)
        files = list(_files(self._folder.parent))
        excess = total = sum(size for _, size, _ in files)
        excess -= self._limit_bytes
        if excess > 0:
            excess += int(self._limit_bytes * _SPARE)
            for _, size, path in sorted(files):
                if excess <= 0:
                    break
                excess, total = excess - size, total - size
                self._remove(Path(path))
        self._room = (self._limit_bytes - total) // 2
        self._check_at = time.monotonic() + _CHECK_S

    def _remove(self, path: Path) -> None:
        if path.parent == self._folder and (piece := _named(path.name)) is not None:
            self._forget(piece)
        with suppress(OSError):
            path.unlink()


def _sweep(root: Path) -> None:
    """Whoever was killed while writing has left the beginning of a file."""
    latest_ns = time.time_ns() - int(_ABANDONED_S * 1e9)
    for used_ns, _, path in _files(root, ".tmp"):
        if used_ns < latest_ns:
            with suppress(OSError):
                Path(path).unlink()


def _files(root: Path, suffix: str = _SUFFIX) -> Iterator[tuple[int, int, str]]:
    """When each file of the folders in `root` was used last, its size, its path."""
    for folder in root.iterdir():
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(suffix):
                    with suppress(OSError):
                        stat = entry.stat()
                        yield stat.st_mtime_ns, stat.st_size, entry.path


def _named(name: str) -> Segment | None:
    stem, dot, rest = name.partition(_SUFFIX)
    if not dot or rest:
        return None
    match stem.split("-"):
        case [parent, id, start, end, ("s" | "n") as mark] if (start + end).isdigit():
            return Segment(parent, id, int(start), int(end), mark == "s")
        case _:
            return None


def _body(piece: Segment, data: bytes) -> bytes | None:
    if len(data) < _HEAD.size:
        return None
    magic, parent, own, check, length = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    names = (bytes.fromhex(piece.parent), bytes.fromhex(piece.id))
    is_whole = (magic, (parent, own), length) == (_MAGIC, names, len(body))
    return body if is_whole and zlib.crc32(body) == check else None
