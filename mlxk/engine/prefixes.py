"""Where a new sequence can start from: what ended, what still runs, what is on disk.

Belongs to the engine's thread. A row that waits for the disk, or for another row that is reading
the same words, is not ready yet.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, wait

from mlxk.engine import caches
from mlxk.engine.archive import Archive, Loan
from mlxk.engine.group import Group, Row, dispatch
from mlxk.engine.packing import WIDTH
from mlxk.engine.prefix_cache import PrefixCache

_WORTH_WAITING = 64
_DISK_S = 0.01


class Prefixes:
    def __init__(
        self, make: Callable[[], caches.Caches], kept_bytes: int, archive: Archive | None
    ) -> None:
        self.make = make
        self._kept = PrefixCache(kept_bytes)
        self._archive = archive
        self._loans: list[Loan] = []
        self.is_sliceable = caches.is_sliceable(make())

    @property
    def files(self) -> int:
        return self._archive.files if self._archive else 0

    def begin(self, row: Row, others: Sequence[Row], groups: Sequence[Group]) -> bool:
        """Start from the longest prefix that was read before; false while that may get longer."""
        if row.loan and not row.loan.is_settled:
            return False
        words = row.words[:-WIDTH]
        length, held = self._kept.fetch(words)
        least = max(length, _WORTH_WAITING)
        if _is_being_read(words, least, others, groups):
            return False
        longer, lent = _lent(words, least, others, groups)
        if lent:
            length, held = longer, lent
        if self._archive and not row.loan and (loan := self._archive.ask(row.tokens[:-1], length)):
            row.loan = loan
            self._loans.append(loan)
            return False
        if row.loan and row.loan.caches and row.loan.length > length:
            length, held = row.loan.length, row.loan.caches
        row.loan = None
        row.start(length, held or self.make())
        return True

    def look(self, rows: Iterable[Row]) -> None:
        """Once a step: what has come from the disk, and who has left and waits no more."""
        loans = [row.loan for row in rows if row.loan and not row.loan.is_settled]
        for loan in self._loans:
            if loan not in loans:
                loan.has_left.set()
        self._loans = loans
        if self._archive and loans:
            self._archive.settle(loans)

    def wait(self, rows: Iterable[Row]) -> None:
        """With nothing else to do, sleep a moment instead of asking again at once."""
        if loans := [row.loan.pieces for row in rows if row.loan]:
            wait(loans, timeout=_DISK_S, return_when=FIRST_COMPLETED)

    def keep(self, tokens: list[int], held: caches.Caches, mark: int = 0) -> None:
        """The caches are given away: nobody may write to them any more. `mark`: see `Archive`."""
        if tokens and held and not held[0].empty():
            dispatch([cache.state for cache in held])
            self._kept.store(tokens, held)
            if self._archive:
                self._archive.offer(tokens, held, mark)

    def mark(self, row: Row) -> None:
        """A prompt was read. What cannot be cut later is copied here, where the next prompt is
        likely to part ways; the rest can be cut from the whole when it ends."""
        length = len(row.read)
        if not self.is_sliceable:
            self.keep(row.read, caches.prefix(row.caches, length, length) or [] if length else [])
        elif length and self._archive:
            self._archive.note(row.read, row.caches)

    def advance(self) -> None:
        if self._archive:
            self._archive.advance()

    def tidy(self) -> bool:
        return self._archive.tidy() if self._archive else False

    def clear(self) -> None:
        self._kept.clear()


def _is_being_read(
    words: bytes, least: int, others: Sequence[Row], groups: Sequence[Group]
) -> bool:
    """Whether somebody else will soon have read more than `least` of these tokens."""
    fresh = (row for group in groups for row in group.rows if row.is_fresh)
    if any(row.shared(words) > least for row in fresh):
        return True
    readers = (row for row in others if row.caches)
    return any(max(least, row.read_length) < row.shared(words) for row in readers)


def _lent(
    words: bytes, least: int, others: Sequence[Row], groups: Sequence[Group]
) -> tuple[int, caches.Caches | None]:
    """A prefix longer than `least` from a sequence that is being read or answered."""
    for row in others:
        if row.read_length > least and (length := min(row.shared(words), row.read_length)) > least:
            return length, caches.prefix(row.caches, length, row.read_length)
    for group in groups:
        for row in group.rows:
            length = min(row.shared(words), len(row.job.prompt) + len(row.made) - 1)
            if length > least:
                held, own = group.extract(row)
                return length, caches.prefix(own, length, len(held))
    return 0, None
