"""Three-way merge of trees and of text. Adds objects, moves nothing; knows no branches."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from mlxk.history import diff
from mlxk.history.packs import RawId
from mlxk.history.store import Store
from mlxk.history.trees import EXECUTABLE, FILE, FOLDER, Entry

Hunk = tuple[int, int, tuple[bytes, ...]]  # lines of the base, and what replaces them
_FILES = (FILE, EXECUTABLE)


@dataclass(frozen=True, slots=True)
class Merged:
    """With conflicts, `tree` holds our side of them."""

    tree: RawId
    conflicts: tuple[bytes, ...]


def trees(store: Store, base: RawId | None, ours: RawId | None, theirs: RawId) -> Merged:
    """What they changed since `base`, done to `ours`."""
    changes: dict[bytes, Entry | None] = {}
    conflicts: list[bytes] = []
    for path, before, after in sorted(diff.pairs(store, base, theirs), key=lambda p: p[0]):
        now = store.trees.find(ours, path) if ours else None
        if _in_the_way(store, base, ours, path):
            conflicts.append(path)
        elif now == before or (now and now[0] == FOLDER):
            changes[path] = after
        elif now != after:
            merged = _file(store, before, now, after)
            if merged is None:
                conflicts.append(path)
            else:
                changes[path] = merged
    return Merged(store.trees.updated(ours, changes), tuple(conflicts))


def text(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Both sides' edits; None where they touch the same lines."""
    lines = diff.lines(base)
    mine, yours = _hunks(lines, diff.lines(ours)), _hunks(lines, diff.lines(theirs))
    for start, end, new in yours:
        for first, last, other in mine:
            if start <= last and first <= end and (start, end, new) != (first, last, other):
                return None
    result: list[bytes] = []
    at = 0
    for start, end, new in sorted({*mine, *yours}):
        result += lines[at:start]
        result += new
        at = end
    return b"".join(result + lines[at:])


def _file(
    store: Store, base: Entry | None, ours: Entry | None, theirs: Entry | None
) -> Entry | None:
    if base is None or ours is None or theirs is None:
        return None
    if not all(entry[0] in _FILES for entry in (base, ours, theirs)):
        return None
    contents = [store.read_blob(entry[1]) for entry in (base, ours, theirs)]
    if any(b"\0" in content for content in contents):
        return None
    merged = text(*contents)
    if merged is None:
        return None
    mode = theirs[0] if theirs[0] != base[0] else ours[0]
    return mode, store.writer.add(b"blob", merged)


def _in_the_way(store: Store, base: RawId | None, ours: RawId | None, path: bytes) -> bool:
    """A file of ours where they have a folder, or the reverse, which was not so in `base`."""
    if ours is None:
        return False
    parts = path.split(b"/")
    for length in range(1, len(parts) + 1):
        at = b"/".join(parts[:length])
        now = store.trees.find(ours, at)
        is_folder, wants_folder = bool(now and now[0] == FOLDER), length < len(parts)
        if now is None:
            return False
        if is_folder != wants_folder and now != (store.trees.find(base, at) if base else None):
            return length < len(parts) or is_folder
    return False


def _hunks(base: Sequence[bytes], other: Sequence[bytes]) -> list[Hunk]:
    codes = SequenceMatcher(None, base, other, autojunk=False).get_opcodes()
    return [(i, j, tuple(other[k:n])) for kind, i, j, k, n in codes if kind != "equal"]
