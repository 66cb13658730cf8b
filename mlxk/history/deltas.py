"""Objects of a session told in terms of each other, so that they stay small: git's own gc leaves
objects alone that it finds whole in one pack. Knows no files.

Every delta is against a whole object of the same pack, named by its id, so that entries can be
copied from pack to pack.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from mlxk.history.packs import RawId, delta_entry, entry, parts_of

Object = tuple[bytes, bytes]  # kind, content
Copy = tuple[int, int]  # from where in the base, how much
_SIMILAR = 32  # trees of one folder's past begin alike
_MOST = 0xFFFFFF  # bytes that one instruction can copy


def compact(objects: Mapping[RawId, Object]) -> Iterator[tuple[RawId, bytes]]:
    """Pack entries; of objects that are alike the longest is kept whole."""
    alike: dict[bytes, list[RawId]] = defaultdict(list)
    for raw, (kind, data) in objects.items():
        alike[_likeness(raw, kind, data)].append(raw)
    for group in alike.values():
        base = max(group, key=lambda raw: len(objects[raw][1]))
        for raw in group:
            whole = entry(*objects[raw], level=6)
            told = _told(objects, raw, base) if raw != base else whole
            yield raw, min(whole, told, key=len)


def resolved(entries: Mapping[RawId, bytes]) -> dict[RawId, Object]:
    """The objects that pack entries hold, those told by deltas included."""
    objects: dict[RawId, Object] = {}
    told: dict[RawId, tuple[RawId, bytes]] = {}
    for raw, packed in entries.items():
        kind, base, body = parts_of(packed)
        content = zlib.decompress(body)
        if base is None:
            objects[raw] = kind, content
        else:
            told[raw] = base, content
    for raw, (base, delta) in told.items():
        kind, content = objects[base]
        objects[raw] = kind, restore(content, delta)
    return objects


def restore(base: bytes, delta: bytes) -> bytes:
    """What `delta` makes of `base`."""
    at = _skip_size(delta, _skip_size(delta, 0))
    parts: list[bytes] = []
    while at < len(delta):
        first = delta[at]
        at += 1
        if not first & 0x80:
            parts.append(delta[at : at + first])
            at += first
            continue
        values = [0] * 7
        for n in range(7):
            if first & (1 << n):
                values[n] = delta[at]
                at += 1
        start = int.from_bytes(bytes(values[:4]), "little")
        length = int.from_bytes(bytes(values[4:]), "little") or 0x10000
        parts.append(base[start : start + length])
    return b"".join(parts)


def _likeness(raw: RawId, kind: bytes, data: bytes) -> bytes:
    if kind == b"tree":
        return kind + data[:_SIMILAR]
    if kind == b"commit":
        return kind + b"%d" % data.count(b"\nparent ")
    return raw


def _told(objects: Mapping[RawId, Object], raw: RawId, base: RawId) -> bytes:
    kind, data = objects[raw]
    before = objects[base][1]
    steps = _by_line(before, data) if kind == b"commit" else _by_ends(before, data)
    return delta_entry(base, _size(len(before)) + _size(len(data)) + b"".join(map(_step, steps)))


def _by_ends(base: bytes, data: bytes) -> Sequence[Copy | bytes]:
    """What both begin and end with is copied."""
    start, limit = 0, min(len(base), len(data))
    while start < limit and base[start] == data[start]:
        start += 1
    end = 0
    while end < limit - start and base[-1 - end] == data[-1 - end]:
        end += 1
    middle = data[start : len(data) - end]
    return [
        step for step in ((0, start), middle, (len(base) - end, end)) if step and step != (0, 0)
    ]


def _by_line(base: bytes, data: bytes) -> Sequence[Copy | bytes]:
    a, b = base.splitlines(keepends=True), data.splitlines(keepends=True)
    places = [0]
    for line in a:
        places.append(places[-1] + len(line))
    steps: list[Copy | bytes] = []
    for what, i, j, k, n in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if what == "equal":
            steps.append((places[i], places[j] - places[i]))
        elif k < n:
            steps.append(b"".join(b[k:n]))
    return steps


def _step(step: Copy | bytes) -> bytes:
    if isinstance(step, bytes):
        pieces = (step[at : at + 127] for at in range(0, len(step), 127))
        return b"".join(bytes([len(piece)]) + piece for piece in pieces)
    start, length = step
    parts = []
    while length > 0:
        part = min(length, _MOST)
        parts.append(_copy(start, part))
        start, length = start + part, length - part
    return b"".join(parts)


def _copy(start: int, length: int) -> bytes:
    values = start.to_bytes(4, "little") + length.to_bytes(3, "little")
    first = 0x80 | sum(1 << n for n, value in enumerate(values) if value)
    return bytes([first]) + bytes(value for value in values if value)


def _size(number: int) -> bytes:
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _skip_size(delta: bytes, at: int) -> int:
    while delta[at] & 0x80:
        at += 1
    return at + 1
