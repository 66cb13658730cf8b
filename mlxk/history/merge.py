"""Three-way merge of trees and of text. Adds objects, moves nothing; knows no branches."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlxk.history import diff, matching
from mlxk.history.matching import Change
from mlxk.history.packs import RawId
from mlxk.history.store import Store
from mlxk.history.trees import EXECUTABLE, FILE, FOLDER, Entry

Hunk = tuple[Change, int]  # and which side made it
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
    """Both sides' edits; None where they touch the same lines and do not say the same."""
    lines, sides = diff.lines(base), (diff.lines(ours), diff.lines(theirs))
    hunks = sorted((hunk, n) for n in (0, 1) for hunk in matching.changes(lines, sides[n]))
    result: list[bytes] = []
    at = 0
    for group in _touching(hunks):
        start, end = group[0][0][0], max(hunk[1] for hunk, _ in group)
        said = {tuple(_said(sides[n], group, n, start, end)) for _, n in group}
        if len(said) > 1:
            return None
        result += lines[at:start] + list(*said)
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


def _touching(hunks: Iterable[Hunk]) -> Iterator[list[Hunk]]:
    group: list[Hunk] = []
    end = 0
    for hunk in hunks:
        if group and hunk[0][0] > end:
            yield group
            group = []
        group.append(hunk)
        end = max(end, hunk[0][1])
    if group:
        yield group


def _said(side: list[bytes], group: list[Hunk], whose: int, start: int, end: int) -> list[bytes]:
    """What `side` has for the lines of the base that all of the group are about."""
    own = [hunk for hunk, n in group if n == whose]
    (i, _, j, _), (_, end_i, _, end_j) = own[0], own[-1]
    return side[j - (i - start) : end_j + (end - end_i)]
