"""Whole sequences kept in memory after use, so that the next prompt need not be read again.

Entries are found by comparing token ids, not hashes: an entry can only answer for exactly its own
tokens. Knows how to compare and forget; what a prefix of a cache is, `caches.prefix` knows.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlxk.engine.caches import Caches, is_sliceable, prefix
from mlxk.engine.packing import WIDTH, common, packed

_SHORTEST = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """`tokens` are packed ids, 4 bytes each: comparing them is one memory comparison."""

    tokens: bytes
    caches: Caches
    size_bytes: int

    @property
    def length(self) -> int:
        return len(self.tokens) // WIDTH


class PrefixCache:
    """Least recently used entries leave first when together they exceed `budget_bytes`."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._sorted: list[bytes] = []
        self._held_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def fetch(self, words: bytes) -> tuple[int, Caches | None]:
        """The longest prefix of these packed tokens that some entry can give, and caches that hold
        exactly that."""
        for length, entry in self._nearest(words):
            if (caches := prefix(entry.caches, length, entry.length)) is not None:
                self._entries.move_to_end(entry.tokens)
                return length, caches
        return 0, None

    def _nearest(self, words: bytes) -> Iterator[tuple[int, Entry]]:
        """Entries by how much they share, most first: in order, neighbours share most."""
        after = bisect_left(self._sorted, words)
        before = after - 1
        left, right = self._shared(before, words), self._shared(after, words)
        while max(left, right) >= _SHORTEST:
            if left > right:
                yield left, self._entries[self._sorted[before]]
                before -= 1
                left = self._shared(before, words)
            else:
                yield right, self._entries[self._sorted[after]]
                after += 1
                right = self._shared(after, words)

    def _shared(self, place: int, words: bytes) -> int:
        return common(self._sorted[place], words) if 0 <= place < len(self._sorted) else 0

    def store(self, tokens: Sequence[int], caches: Caches) -> None:
        """Keep these; entries that they contain are given up where any prefix can be had."""
        entry = Entry(packed(tokens), caches, sum(cache.nbytes for cache in caches))
        if entry.length < _SHORTEST or entry.size_bytes > self._budget_bytes:
            return
        self._forget(entry.tokens)
        if is_sliceable(caches):
            for key in [key for key in self._entries if entry.tokens.startswith(key)]:
                self._forget(key)
        self._entries[entry.tokens] = entry
        insort(self._sorted, entry.tokens)
        self._held_bytes += entry.size_bytes
        while self._held_bytes > self._budget_bytes:
            self._forget(next(iter(self._entries)))

    def clear(self) -> None:
        self._entries.clear()
        self._sorted.clear()
        self._held_bytes = 0

    def _forget(self, key: bytes) -> None:
        if entry := self._entries.pop(key, None):
            self._held_bytes -= entry.size_bytes
            del self._sorted[bisect_left(self._sorted, key)]
