"""Prompts on their way to the batch: read in chunks, several short ones in one pass.

Knows what to read next and how much; what was read before, `prefixes` knows.
"""

from collections.abc import Sequence

import mlx.core as mx

from mlxk.engine import shapes
from mlxk.engine.caches import Caches, make_room
from mlxk.engine.group import Forward, Group, Row, dispatch
from mlxk.engine.parts import merged
from mlxk.engine.prefixes import Prefixes

_TOGETHER = 16


class Prefill:
    """`rows` have not been read to their end; what has been leaves as groups. One forward pass
    reads at most `most` tokens. `has_few_shapes`: a new shape is dear, see `shapes`.
    """

    def __init__(
        self,
        forward: Forward,
        prefixes: Prefixes,
        most: int,
        *,
        can_merge: bool,
        has_few_shapes: bool = False,
    ) -> None:
        self.rows: list[Row] = []
        self._forward = forward
        self._prefixes = prefixes
        self._most = most
        self._can_merge = can_merge
        self._has_few_shapes = has_few_shapes and prefixes.is_sliceable
        self._unmet = shapes.lengths(most) if self._has_few_shapes else []
        self._turn = 0

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
        rows = sorted((row for row in ready if len(row.pending) > 1), key=_unread)[:_TOGETHER]
        while len(rows) > 1 and _unread(rows[-1]) * len(rows) > most:
            rows.pop()
        longest = max((row.length for row in rows), default=0)
        alike = [
            row
            for row in rows
            if _unread(row) * 2 >= _unread(rows[-1]) and row.length * 2 >= longest
        ]
        return alike[: shapes.rows(len(alike))] if self._has_few_shapes else alike

    def _read_together(self, rows: list[Row], arrived: list[Group]) -> int:
        """One pass to the end of several prompts, padded on the right to the longest."""
        held = merged([row.caches for row in rows])
        chunks = [[row.pending.popleft() for _ in range(_unread(row))] for row in rows]
        lengths = [len(chunk) for chunk in chunks]
        width = shapes.padded(max(lengths)) if self._has_few_shapes else max(lengths)
        padding = [width - length for length in lengths]
        for cache in held if any(padding) else ():
            cache.prepare(lengths=lengths, right_padding=padding)
        padded = [chunk + [0] * pad for chunk, pad in zip(chunks, padding, strict=True)]
        self._forward.model(mx.array(padded), cache=held)
        for cache in held if any(padding) else ():
            cache.finalize()
        dispatch([cache.state for cache in held])
        self.rows = [row for row in self.rows if row not in rows]
        arrived.append(Group(self._forward, rows, held))
        return max(lengths) * len(rows)

    def _read_on(self, row: Row, most: int, arrived: list[Group]) -> int:
        """Up to `most` tokens of one prompt, never the last one: decoding begins with it."""
        count = width = min(most, _unread(row))
        if count and self._has_few_shapes:
            count, width = shapes.chunk(row.read_length, _unread(row), most)
        if count:
            chunk = [row.pending.popleft() for _ in range(count)]
            self._pass(chunk + [0] * (width - count), row.caches, width - count)
        if not _unread(row):
            self.rows.remove(row)
            self._prefixes.mark(row)
            arrived.append(Group(self._forward, [row]))
        return max(count, 1)

    def _pass(self, tokens: list[int], held: Caches, padding: int = 0) -> None:
        """The last tokens may be `padding`, which nothing before them sees: it is cut off again."""
        for cache in held if self._has_few_shapes else ():
            make_room(cache, len(tokens))
        self._forward.model(mx.array([tokens]), cache=held)
        for cache in held if padding else ():
            cache.trim(padding)
        # Only the caches are evaluated, so the logits of a prompt are never computed; and not
        # waited for, so that the tokens read before are published first.
        dispatch([cache.state for cache in held])

    def rehearse(self) -> bool:
        """Meet one more shape while nobody waits. False when all have been met."""
        if self._unmet and self._forward.shard.is_alone:
            self._pass([0] * self._unmet.pop(), self._prefixes.make())
            mx.synchronize()
            return True
        return False


def _unread(row: Row) -> int:
    return len(row.pending) - 1
