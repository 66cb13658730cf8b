"""What changed between two code commits. Knows trees and bytes, not sessions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from dulwich.graph import can_fast_forward
from dulwich.objects import ObjectID
from dulwich.patch import write_tree_diff

from mlxk.history import matching
from mlxk.history.checkout import shown
from mlxk.history.packs import RawId
from mlxk.history.store import Store
from mlxk.history.trees import FOLDER, SUBMODULE, Entry

Status = Literal["added", "modified", "deleted", "type_changed"]
Pair = tuple[bytes, Entry | None, Entry | None]  # path, before, after


@dataclass(frozen=True, slots=True)
class FileChange:
    """Undecodable bytes of `path` are shown as `\\xNN`. Line counts are 0 for binary files."""

    path: str
    status: Status
    additions: int
    deletions: int
    binary: bool


@dataclass(frozen=True, slots=True)
class Divergence:
    ahead: int
    behind: int


def changes(store: Store, old: str | None, new: str) -> tuple[FileChange, ...]:
    """Between two commits (None: from nothing), by path."""
    before = store.tree_of(old) if old else None
    found = pairs(store, before, store.tree_of(new))
    return tuple(change(store, pair) for pair in sorted(found, key=lambda p: p[0]))


def change(store: Store, pair: Pair) -> FileChange:
    path, before, after = pair
    a, b = content(store, before), content(store, after)
    binary = b"\0" in a[:8000] or b"\0" in b[:8000]
    added, deleted = (0, 0) if binary else line_counts(a, b)
    return FileChange(shown(path), _status(before, after), added, deleted, binary)


def listed(files: Iterable[FileChange]) -> str:
    """For people, a line a file: `  M src/a.py (+12 -3)`."""
    return "\n".join(
        f"  {f.status[0].upper()} {f.path} (+{f.additions} -{f.deletions})" for f in files
    )


def patch(store: Store, old: str | None, new: str) -> bytes:
    """A unified diff that `git apply` takes, apart from binary files."""
    out = BytesIO()
    before = _hex(store.tree_of(old)) if old else None
    write_tree_diff(out, store.repo.object_store, before, _hex(store.tree_of(new)))
    return out.getvalue()


def divergence(store: Store, ours: str, theirs: str) -> Divergence:
    """Commits that only one of the two has."""
    return Divergence(_only_in(store, ours, theirs), _only_in(store, theirs, ours))


def pairs(
    store: Store, old: RawId | None, new: RawId | None, prefix: bytes = b""
) -> Iterator[Pair]:
    """Paths that differ between two trees."""
    before = store.trees.entries(old) if old else {}
    after = store.trees.entries(new) if new else {}
    for name in before.keys() | after.keys():
        a, b = before.get(name), after.get(name)
        if a == b:
            continue
        inner_a = a[1] if a and a[0] == FOLDER else None
        inner_b = b[1] if b and b[0] == FOLDER else None
        if inner_a or inner_b:
            yield from pairs(store, inner_a, inner_b, prefix + name + b"/")
        leaf_a, leaf_b = (None if inner_a else a), (None if inner_b else b)
        if leaf_a or leaf_b:
            yield prefix + name, leaf_a, leaf_b


def is_ancestor(store: Store, old: str, new: str) -> bool:
    return can_fast_forward(store.repo, ObjectID(old.encode()), ObjectID(new.encode()))


def lines(data: bytes) -> list[bytes]:
    """As git sees them: only a line feed ends one."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + parts[-1:] * bool(parts[-1])


def line_counts(a: bytes, b: bytes) -> tuple[int, int]:
    """(additions, deletions) of a shortest edit from `a` to `b`."""
    found = matching.changes(lines(a), lines(b))
    return sum(n - m for *_, m, n in found), sum(j - i for i, j, *_ in found)


def _status(before: Entry | None, after: Entry | None) -> Status:
    if before is None:
        return "added"
    if after is None:
        return "deleted"
    return "modified" if before[0] & 0o170000 == after[0] & 0o170000 else "type_changed"


def content(store: Store, entry: Entry | None) -> bytes:
    return store.read_blob(entry[1]) if entry and entry[0] != SUBMODULE else b""


def _hex(raw: RawId) -> ObjectID:
    return ObjectID(raw.hex().encode())


def _only_in(store: Store, ours: str, theirs: str) -> int:
    include, exclude = ObjectID(ours.encode()), ObjectID(theirs.encode())
    return sum(1 for _ in store.repo.get_walker(include=[include], exclude=[exclude]))
