"""Prompts on their way to the batch: read in chunks, several short ones in one pass.

Knows what to read next and how much; what was read before, `prefixes` knows.
"""

import time
from collections.abc import Sequence

import mlx.core as mx

from mlxk.engine import passes, shapes
from mlxk.engine.group import Forward, Group, Row, dispatch
from mlxk.engine.parts import merged
from mlxk.engine.prefixes import Prefixes

_COMPILING = 8
_LONG_S = 0.5


class Prefill:
    """`rows` have not been read to their end; what has been leaves as groups. One forward pass
    reads at most `most` tokens.
    """

    def __init__(self, forward: Forward, prefixes: Prefixes, most: int, *, can_merge: bool) -> None:
        self.rows: list[Row] = []
        self._forward = forward
        self._prefixes = prefixes
        self._most = most
        self._can_merge = can_merge
        self._unmet = shapes.ordinary(most) if forward.has_few_shapes else []
        self._met = self._turn = 0

    def drop(self, uid: int) -> None:
        """What was read of it is kept: whoever asks again goes on from there."""
        for row in [row for row in self.rows if row.job.uid == uid]:
            self.rows.remove(row)
            self._prefixes.keep(row.read, row.caches)

    def advance(self, share: int, groups: Sequence[Group]) -> tuple[int, list[Group]]:
        """Spend `share` tokens; how many were read, and who is ready to answer.

        Alone, a long prompt gets one pass: whoever comes meanwhile is looked at first.
        """
        left = share
        arrived: list[Group] = []
        self._turn += 1
        while left > 0 and (ready := self._ready([*groups, *arrived])):
            most = min(left, self._most)
            if len(rows := self._alike(ready, most)) > 1:
                left -= self._read_together(rows, arrived)
                continue
            row = self._choose(ready)
            left -= self._read_on(row, most, arrived)
            if len(self.rows) == 1:
                break
        if self.rows and not (groups or arrived) and left == share:
            self._prefixes.wait(self.rows)
        return share - left, arrived

    def _ready(self, groups: Sequence[Group]) -> list[Row]:
        """Those that need not wait, for the disk or for a row that reads the same words."""
        return [row for row in self.rows if row.caches or self._begin(row, groups)]

    def _begin(self, row: Row, groups: Sequence[Group]) -> bool:
        others = [other for other in self.rows if other is not row]
        return self._prefixes.begin(row, others, groups)

    def _choose(self, ready: Sequence[Row]) -> Row:
        """The oldest and the shortest prompt in turn: short ones are quick, long ones end."""
        return ready[0] if self._turn % 2 else min(ready, key=lambda row: len(row.pending))

    def _alike(self, ready: Sequence[Row], most: int) -> list[Row]:
        """Prompts that fit into one pass to their ends, padding included. They stay together, so
        they are of about one length, and as much of each was read."""
        if not (self._can_merge and self._prefixes.is_sliceable):
            return []
        able = (row for row in ready if _unread(row) and self._may_share(row))
        rows = sorted(able, key=_unread)[: shapes.TOGETHER]
        while len(rows) > 1 and _unread(rows[-1]) * len(rows) > most:
            rows.pop()
        longest = max((row.length for row in rows), default=0)
        return [
            row
            for row in rows
            if _unread(row) * 2 >= _unread(rows[-1]) and row.length * 2 >= longest
        ]

    def _may_share(self, row: Row) -> bool:
        """Where shapes are dear only those that begin: the others are of too many lengths."""
        return not (self._forward.has_few_shapes and row.read_length)

    def _read_together(self, rows: list[Row], arrived: list[Group]) -> int:
        """One pass to the end of several prompts, padded on the right to the longest."""
        width = max(map(_unread, rows))
        if self._forward.has_few_shapes:
            count, width = shapes.together(len(rows), width)
            rows = rows[:count]
        is_even = len({row.read_length for row in rows}) == 1
        held = merged([row.caches for row in rows])
        chunks = [[row.pending.popleft() for _ in range(_unread(row))] for row in rows]
        padding = [width - len(chunk) for chunk in chunks]
        padded = [chunk + [0] * pad for chunk, pad in zip(chunks, padding, strict=True)]
        passes.together(self._forward.model, padded, held, padding, is_even=is_even)
        dispatch([cache.state for cache in held])
        self.rows = [row for row in self.rows if row not in rows]
        arrived.append(Group(self._forward, rows, held))
        return width * len(rows)

    def _read_on(self, row: Row, most: int, arrived: list[Group]) -> int:
        """Up to `most` tokens of one prompt, never the last one: decoding begins with it."""
        count, start = min(most, _unread(row)), row.read_length
        if count:
            if self._forward.has_few_shapes:
                count = shapes.chunk(start, _unread(row), most)
            chunk = [row.pending.popleft() for _ in range(count)]
            self._forward.onward(row.between, row.caches, start, chunk)
            # Only the caches are evaluated, so the logits of a prompt are never computed; and not
            # waited for, so that the tokens read before are published first.
            dispatch([cache.state for cache in row.caches])
        if not _unread(row):
            self.rows.remove(row)
            self._prefixes.mark(row)
            arrived.append(Group(self._forward, [row]))
        return max(count, 1)

    def rehearse(self) -> bool:
        """Meet one more shape while nobody waits. False when all have been met."""
        if not (self._unmet and self._forward.shard.is_alone):
            return False
        began = time.monotonic()
        rows, before, width = self._unmet.pop(0)
        held = self._prefixes.make()
        for length in (before, width) if before else (width,):
            self._forward.model(mx.zeros((rows, length), mx.int32), cache=held)
        mx.eval([cache.state for cache in held])
        self._met += 1
        # Kernels are compiled first. Later it is arithmetic that takes so long: whoever comes would
        # wait for more than a plan.
        if self._met > _COMPILING and time.monotonic() - began > _LONG_S:
            self._unmet.clear()
        return True


def _unread(row: Row) -> int:
    return len(row.pending) - 1
