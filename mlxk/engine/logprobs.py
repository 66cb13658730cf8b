"""Log-probabilities of chosen tokens, for the rows that ask for them and for no other."""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx


class Logprobs:
    """Computed with a step, read with its tokens one step later.

    `rows` are the rows' places in the batch; they come back in the same order.
    """

    def __init__(self, logits: Any, tokens: Any, rows: Sequence[int], count: int) -> None:
        index = mx.array(list(rows))
        chosen = logits[index].astype(mx.float32)
        shares = chosen - mx.logsumexp(chosen, axis=-1, keepdims=True)
        own = mx.take_along_axis(shares, tokens[index][:, None], axis=-1)[:, 0]
        order = mx.argpartition(-shares, kth=count - 1, axis=-1)[:, :count] if count else None
        self.arrays = [own]
        if order is not None:
            self.arrays += [order, mx.take_along_axis(shares, order, axis=-1)]

    def read(self) -> list[tuple[float, tuple[tuple[int, float], ...]]]:
        """For each row the token's own, and the likeliest, best first."""
        values: list[Any] = [array.tolist() for array in self.arrays]
        own, *tops = values
        if not tops:
            return [(each, ()) for each in own]
        best = [
            tuple(sorted(zip(ids, shares, strict=True), key=lambda item: -item[1]))
            for ids, shares in zip(*tops, strict=True)
        ]
        return list(zip(own, best, strict=True))
