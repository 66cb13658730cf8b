"""git's index file: read to learn what is staged and clean, written so that people's git works.

Knows no trees.
"""

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha1
from operator import itemgetter
from pathlib import Path

from mlxk.contract.errors import CorruptState, RuntimeIncompatible
from mlxk.history.cloning import Signature
from mlxk.history.folders import NEVER, Known
from mlxk.history.trees import FOLDER
from mlxk.system.files import translated, write_atomic

_FIXED = struct.Struct(">10I20sH")
_ASSUME_VALID, _EXTENDED, _STAGE, _NAME = 0x8000, 0x4000, 0x3000, 0x0FFF
_SKIP_WORKTREE, _INTENT_TO_ADD = 0x4000, 0x2000
_SECOND = 1_000_000_000
_UNHASHED = bytes(20)  # index.skipHash
_WORD = 0xFFFFFFFF
_SKIPPED = struct.pack(">H", _SKIP_WORKTREE)
_PADDING = [bytes(8 - length) for length in range(8)]  # 1 to 8, so that names end in NUL


@dataclass(frozen=True, slots=True)
class Index:
    entries: dict[bytes, Known]  # no signature: assumed unchanged, or not checked out
    conflicts: tuple[bytes, ...]
    assumed: frozenset[bytes] = frozenset()  # entries that the user told git to assume unchanged


def read(path: Path) -> Index:
    """Empty when there is none. RuntimeIncompatible for a split or sparse index."""
    try:
        with translated(path), path.open("rb") as file:
            written, data = os.fstat(file.fileno()).st_mtime_ns, file.read()
    except FileNotFoundError:
        return Index({}, ())
    try:
        return _parse(data, written)
    except (struct.error, ValueError, IndexError) as e:
        raise CorruptState(f"{path} is damaged", path=str(path), hint="git status") from e


def write(file: Path, entries: Iterable[tuple[bytes, Known]]) -> None:
    write_atomic(file, encode(entries), durable=False)


def encode(
    entries: Iterable[tuple[bytes, Known]], *, assumed: frozenset[bytes] = frozenset()
) -> bytes:
    """Version 2 or 3. What we do not trust is marked so that git looks for itself."""
    ordered = sorted((e for e in entries if e[1].entry is not None), key=itemgetter(0))
    skipped = any(known.signature is None and path not in assumed for path, known in ordered)
    who = os.getuid(), os.getgid()
    parts = [struct.pack(">4sII", b"DIRC", 3 if skipped else 2, len(ordered))]
    for path, known in ordered:
        parts += _packed(path, known, who, is_assumed=path in assumed)
    body = b"".join(parts)
    return body + sha1(body, usedforsecurity=False).digest()


def _packed(
    path: bytes, known: Known, who: tuple[int, int], *, is_assumed: bool
) -> tuple[bytes, ...]:
    signature, entry = known
    mode, raw = entry or (0, b"")
    flags = min(len(path), _NAME) | (_ASSUME_VALID if is_assumed else 0)
    extended = b""
    if signature is None and not is_assumed:
        flags, extended = flags | _EXTENDED, _SKIPPED
    mtime, ctime, size, inode = signature if signature and signature != NEVER else (0, 0, 0, 0)
    fixed = _FIXED.pack(
        ctime // _SECOND & _WORD, ctime % _SECOND, mtime // _SECOND & _WORD, mtime % _SECOND,
        0, inode, mode, *who, size & _WORD, raw, flags,
    )  # fmt: skip
    return fixed, extended, path, _PADDING[(62 + len(extended) + len(path)) & 7]


def _parse(data: bytes, written: int) -> Index:
    magic, version, count = struct.unpack_from(">4sII", data)
    if magic != b"DIRC" or version not in (2, 3, 4):
        raise ValueError(version)
    if data[-20:] not in (sha1(data[:-20], usedforsecurity=False).digest(), _UNHASHED):
        raise ValueError("cut short")
    entries: dict[bytes, Known] = {}
    conflicts: dict[bytes, None] = {}
    assumed: set[bytes] = set()
    at, name = 12, b""
    unpack = _FIXED.unpack_from
    for _ in range(count):
        fields = unpack(data, at)
        flags, extended, start = fields[11], 0, at + 62
        if flags & _EXTENDED:
            extended, start = struct.unpack_from(">H", data, start)[0], start + 2
        if version == 4:
            name, at = _name(data, start, name)
        else:
            length = flags & _NAME
            end = start + length if length < _NAME else data.index(b"\0", start)
            name, at = data[start:end], at + ((end - at + 8) & ~7)
        if flags & _STAGE:
            conflicts[name] = None
        elif not extended & _INTENT_TO_ADD:
            pinned = flags & _ASSUME_VALID or extended & _SKIP_WORKTREE
            assumed |= {name} if flags & _ASSUME_VALID else set()
            signature = None if pinned else _signature(fields, written)
            entries[name] = Known(signature, (fields[6], fields[10]))
    _refuse_partial(data, at, entries)
    return Index(entries, tuple(conflicts), frozenset(assumed))


def _name(data: bytes, at: int, previous: bytes) -> tuple[bytes, int]:
    """Version 4: how much of the previous name to cut, then what to put there."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = ((value + 1) << 7) | (data[at] & 0x7F)
    end = data.index(b"\0", at + 1)
    return previous[: len(previous) - value] + data[at + 1 : end], end + 1


def _signature(fields: tuple[int, ...], written: int) -> Signature:
    mtime = fields[2] * _SECOND + fields[3]
    # "racily clean": written in the same moment as the index, so perhaps changed after it
    if mtime >= written:
        return NEVER
    return mtime, fields[0] * _SECOND + fields[1], fields[9], fields[5]


def _refuse_partial(data: bytes, at: int, entries: dict[bytes, Known]) -> None:
    while at + 8 < len(data) - 20:
        kind, size = struct.unpack_from(">4sI", data, at)
        if kind in (b"link", b"sdir"):
            which = "split" if kind == b"link" else "sparse"
            hint = (
                "git update-index --no-split-index"
                if kind == b"link"
                else ("git sparse-checkout reapply --no-sparse-index")
            )
            raise RuntimeIncompatible(f"git's index is {which}, which mlxk cannot read", hint=hint)
        at += 8 + size
    if any(k.entry and k.entry[0] == FOLDER for k in entries.values()):
        raise RuntimeIncompatible(
            "git's index is sparse, which mlxk cannot read",
            hint="git sparse-checkout reapply --no-sparse-index",
        )
