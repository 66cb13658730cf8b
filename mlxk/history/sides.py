"""What changed between two code commits, side by side: rows for people. Knows no screen."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from mlxk.history import diff, matching
from mlxk.history.diff import FileChange
from mlxk.history.matching import Change
from mlxk.history.store import Store

Kind = Literal["same", "changed", "removed", "added"]
Line = tuple[int, str]

_CONTEXT = 3
_LONGEST = 2_000  # characters of a line
_MOST = 20_000  # lines of a side; beyond that nobody reads side by side


@dataclass(frozen=True, slots=True)
class Row:
    """One line of both sides, without its end; None where a side has none."""

    kind: Kind
    old_line: int | None
    old: str
    new_line: int | None
    new: str


@dataclass(frozen=True, slots=True)
class FileSides:
    """`hunks` are runs of rows with a few unchanged lines around; `cut`: not all is here."""

    change: FileChange
    hunks: tuple[tuple[Row, ...], ...]
    cut: bool


def sides(store: Store, old: str | None, new: str, *, rows: int = 2_000) -> tuple[FileSides, ...]:
    """By path. All files together give at most `rows` rows."""
    before = store.tree_of(old) if old else None
    found = sorted(diff.pairs(store, before, store.tree_of(new)), key=lambda pair: pair[0])
    done: list[FileSides] = []
    for pair in found:
        one = _file(store, pair, rows)
        rows -= sum(map(len, one.hunks))
        done.append(one)
    return tuple(done)


def _file(store: Store, pair: diff.Pair, rows: int) -> FileSides:
    change = diff.change(store, pair)
    if change.binary:
        return FileSides(change, (), cut=False)
    a, b = (_lines(diff.content(store, entry)) for entry in pair[1:])
    if rows <= 0 or max(len(a), len(b)) > _MOST:
        return FileSides(change, (), cut=True)
    kept: list[tuple[Row, ...]] = []
    for hunk in _hunks(a, b):
        kept.append(hunk[:rows])
        rows -= len(hunk)
        if rows < 0:
            return FileSides(change, tuple(kept), cut=True)
    return FileSides(change, tuple(kept), cut=False)


def _hunks(a: list[str], b: list[str]) -> Iterator[tuple[Row, ...]]:
    group: list[Change] = []
    for change in matching.changes(a, b):
        if group and change[0] > group[-1][1] + 2 * _CONTEXT:
            yield tuple(_rows(a, b, group))
            group = []
        group.append(change)
    if group:
        yield tuple(_rows(a, b, group))


def _rows(a: list[str], b: list[str], group: list[Change]) -> Iterator[Row]:
    """The changes and the lines around and between them."""
    at = max(0, group[0][0] - _CONTEXT)
    for i, end_i, j, end_j in group:
        yield from (_same(a, n, n + j - i) for n in range(at, i))
        olds = [(n + 1, a[n]) for n in range(i, end_i)]
        news = [(n + 1, b[n]) for n in range(j, end_j)]
        yield from (_row(old, new) for old, new in zip_longest(olds, news))
        at = end_i
    shift = group[-1][3] - at
    yield from (_same(a, n, n + shift) for n in range(at, min(len(a), at + _CONTEXT)))


def _same(a: list[str], old: int, new: int) -> Row:
    text = _shown(a[old])
    return Row("same", old + 1, text, new + 1, text)


def _row(old: Line | None, new: Line | None) -> Row:
    kind: Kind = "removed" if new is None else "added" if old is None else "changed"
    left, right = old or (None, ""), new or (None, "")
    return Row(kind, left[0], _shown(left[1]), right[0], _shown(right[1]))


def _lines(data: bytes) -> list[str]:
    return [line.decode(errors="replace") for line in diff.lines(data)]


def _shown(text: str) -> str:
    text = text.removesuffix("\n").removesuffix("\r")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
