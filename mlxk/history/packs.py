"""A pack of objects and its index, as bytes. Knows no files and no repository."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha1

RawId = bytes  # 20 bytes
_KINDS = {b"commit": 1, b"tree": 2, b"blob": 3, b"tag": 4}
_NAMES = {number: kind for kind, number in _KINDS.items()}
_REF_DELTA = 7
_BIG = 0x80000000


@dataclass(frozen=True, slots=True)
class Pack:
    name: str
    pack: bytes
    index: bytes


def object_id(kind: bytes, data: bytes) -> RawId:
    digest = sha1(b"%b %d\0" % (kind, len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.digest()


def entry(kind: bytes, data: bytes, *, level: int = 1) -> bytes:
    """One object as it stands in a pack."""
    return _head(_KINDS[kind], len(data)) + zlib.compress(data, level)


def delta_entry(base: RawId, delta: bytes) -> bytes:
    """An object told by how it differs from `base`, which must be in the same pack."""
    return _head(_REF_DELTA, len(delta)) + base + zlib.compress(delta, 6)


def parts_of(packed: bytes) -> tuple[bytes, RawId | None, bytes]:
    """(kind, base, compressed content) of an entry; a delta has a base and no kind."""
    at = 0
    while packed[at] & 0x80:
        at += 1
    kind = packed[0] >> 4 & 7
    if kind == _REF_DELTA:
        return b"", packed[at + 1 : at + 21], packed[at + 21 :]
    return _NAMES[kind], None, packed[at + 1 :]


def _head(kind: int, length: int) -> bytes:
    size, first = length >> 4, kind << 4 | length & 15
    head = bytearray()
    while size:
        head.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    head.append(first)
    return bytes(head)


def build(entries: Iterable[tuple[RawId, bytes]]) -> Pack:
    """Entries of distinct objects, in any order."""
    parts, places, at = [b""], [], 12
    for raw, packed in entries:
        places.append((raw, zlib.crc32(packed), at))
        parts.append(packed)
        at += len(packed)
    parts[0] = struct.pack(">4sII", b"PACK", 2, len(places))
    body = b"".join(parts)
    checksum = sha1(body, usedforsecurity=False).digest()
    return Pack(f"pack-{checksum.hex()}", body + checksum, _index(sorted(places), checksum))


def entries(pack: Pack) -> Iterator[tuple[RawId, bytes]]:
    """Of a pack that `build` made."""
    count = struct.unpack_from(">I", pack.index, 8 + 255 * 4)[0]
    ids, offsets = 8 + 1024, 8 + 1024 + count * 24
    places = sorted(
        (_offset(pack.index, offsets, count, n), pack.index[ids + n * 20 : ids + n * 20 + 20])
        for n in range(count)
    )
    ends = [at for at, _ in places[1:]] + [len(pack.pack) - 20]
    for (at, raw), end in zip(places, ends, strict=True):
        yield raw, pack.pack[at:end]


def _index(places: list[tuple[RawId, int, int]], checksum: bytes) -> bytes:
    fanout, seen = [0] * 256, 0
    for raw, _, _ in places:
        fanout[raw[0]] += 1
    for first in range(256):
        fanout[first] = seen = seen + fanout[first]
    big = [at for _, _, at in places if at >= _BIG]
    order = {at: n for n, at in enumerate(big)}
    offsets = [_BIG | order[at] if at >= _BIG else at for _, _, at in places]
    body = b"".join(
        [
            struct.pack(">4sI256I", b"\xfftOc", 2, *fanout),
            *(raw for raw, _, _ in places),
            struct.pack(f">{len(places)}I", *(crc for _, crc, _ in places)),
            struct.pack(f">{len(places)}I", *offsets),
            struct.pack(f">{len(big)}Q", *big),
            checksum,
        ]
    )
    return body + sha1(body, usedforsecurity=False).digest()


def _offset(index: bytes, table: int, count: int, n: int) -> int:
    at: int = struct.unpack_from(">I", index, table + n * 4)[0]
    if at & _BIG:
        at = struct.unpack_from(">Q", index, table + count * 4 + (at & ~_BIG) * 8)[0]
    return at
