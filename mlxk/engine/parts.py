"""The caches of a batch in parts of about one length, each padded to its own longest row."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from mlxk.engine.caches import Caches, extracted, filter_rows
from mlxk.engine.ragged import Ragged

if TYPE_CHECKING:
    from mlxk.engine.group import Row

MOST = 3


class Part:
    """`caches` are a row's own while it is alone, and merged ones while there are several."""

    def __init__(self, rows: "list[Row]", held: Caches | None = None) -> None:
        self.rows = rows
        alone = rows[0].caches if len(rows) == 1 else None
        self.caches = held or alone or merged([row.caches for row in rows])

    @property
    def length(self) -> int:
        return max(row.length for row in self.rows)

    def extend(self, other: "Part") -> None:
        for part in (self, other):
            if len(part.rows) == 1:
                part.caches = merged([part.caches])
        for mine, theirs in zip(self.caches, other.caches, strict=True):
            mine.extend(theirs)
        self.rows += other.rows

    def extract(self, row: "Row", length: int) -> Caches:
        """`length` tokens of the row are held."""
        if len(self.rows) == 1:
            return self.caches
        at = self.rows.index(row)
        return [extracted(cache, at, length) for cache in self.caches]

    def keep(self, rows: "list[Row]") -> None:
        if len(rows) == len(self.rows):
            return
        if not rows:
            self.caches = []
        elif len(rows) == 1:
            # A merged cache that never held anything cannot be taken apart again.
            is_unused = self.caches[0].empty()
            at = self.rows.index(rows[0])
            self.caches = rows[0].caches if is_unused else [c.extract(at) for c in self.caches]
        else:
            indices = [self.rows.index(row) for row in rows]
            unused = self._unused(rows)
            for cache in self.caches:
                filter_rows(cache, indices, unused)
        self.rows = rows

    def _unused(self, rows: "list[Row]") -> int:
        """Places that only the others needed; one who just came may lack one."""
        return max(self.length - max(row.length for row in rows) - 1, 0)


class Parts:
    """At most `MOST`; without a `slack` one. Joining writes all that both hold, so who comes is
    joined with few others at first, and with all once they `settle`: as long as that wastes at most
    `slack` tokens of padding.
    """

    def __init__(self, first: Part, slack: int | None) -> None:
        self._parts = [first]
        self._slack = slack
        self.caches: Caches = first.caches

    @property
    def rows(self) -> "list[Row]":
        return [row for part in self._parts for row in part.rows]

    def add(self, other: "Parts") -> None:
        """Rows may stand in another order afterwards."""
        parts = sorted((*self._parts, *other._parts), key=lambda part: part.length)
        while len(parts) > (1 if self._slack is None else MOST):
            written = [(len(a.rows) + len(b.rows)) * b.length for a, b in pairwise(parts)]
            at = written.index(min(written))
            parts[at].extend(parts.pop(at + 1))
        self._parts = parts
        self._arrange()

    def settle(self) -> None:
        """Nobody else is on the way. Rows keep their order."""
        before = len(self._parts)
        while (
            at := _joint([(len(p.rows), p.length) for p in self._parts], self._slack)
        ) is not None:
            self._parts[at].extend(self._parts.pop(at + 1))
        if len(self._parts) < before:
            self._arrange()

    def extract(self, row: "Row", length: int) -> Caches:
        return next(part for part in self._parts if row in part.rows).extract(row, length)

    def keep(self, rows: "Sequence[Row]") -> None:
        """Some of the rows, in their order."""
        for part in self._parts:
            part.keep([row for row in part.rows if row in rows])
        self._parts = [part for part in self._parts if part.rows]
        self._arrange()

    def _arrange(self) -> None:
        if len(self._parts) == 1:
            self.caches = self._parts[0].caches
            return
        layers = zip(*(part.caches for part in self._parts), strict=True)
        sizes = [len(part.rows) for part in self._parts]
        self.caches = [Ragged(tuple(zip(sizes, layer, strict=True))) for layer in layers]


def padded(lengths: Sequence[int], slack: int | None) -> list[tuple[int, int]]:
    """(rows, longest) of the parts that sequences of these lengths would be in."""
    parts = [(1, length) for length in sorted(lengths)]
    while (at := _joint(parts, slack)) is not None:
        (few, _), (more, longest) = parts[at : at + 2]
        parts[at : at + 2] = [(few + more, longest)]
    return parts


def _joint(parts: Sequence[tuple[int, int]], slack: int | None) -> int | None:
    """Which part, (rows, longest) in order, to join with its neighbour; None when all may stay."""
    if len(parts) < 2:
        return None
    wastes = [rows * (b - a) for (rows, a), (_, b) in pairwise(parts)]
    at = min(range(len(wastes)), key=wastes.__getitem__)
    return at if slack is None or len(parts) > MOST or wastes[at] <= slack else None


def merged(rows: Sequence[Caches]) -> Caches:
    """One batched cache a layer from the rows' own caches."""
    return [layer[0].merge(list(layer)) for layer in zip(*rows, strict=True)]
