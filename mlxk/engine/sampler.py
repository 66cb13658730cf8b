"""From logits to tokens for a whole batch at once, each row by its own policy.

Nothing here reads a value back from the device, so that a step can be dispatched before the
one before it is finished. Shapes: B rows, V tokens of vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from mlxk.engine.drawing import column, ways
from mlxk.engine.policy import Policy

# The stubs of MLX leave these without types.
dispatch: Any = mx.async_eval


@dataclass(frozen=True, slots=True)
class Draw:
    """One row: its policy and its tokens so far."""

    policy: Policy
    prompt: Sequence[int]
    made: Sequence[int]


class Sampler:
    """Built for one set of rows and called once a step; the rows' order is the batch's order."""

    def __init__(self, draws: Sequence[Draw], vocabulary: int) -> None:
        policies = [draw.policy for draw in draws]
        self._penalties = _Penalties(draws, vocabulary)
        self._bias = _bias(policies, vocabulary)
        self._ways = ways(policies, vocabulary)
        order = [row for rows, _ in self._ways for row in rows]
        self._places = mx.array([order.index(row) for row in range(len(order))])
        self._is_long = any(not policy.is_greedy for policy in policies)

    def __call__(
        self, logits: Any, inputs: Any, positions: Sequence[int], unread: Sequence[bool]
    ) -> Any:
        """Tokens [B] from logits [B, V], which `inputs` [B] made.

        `positions` say where in its answer each token will stand; `unread` inputs are tokens
        of the answer that the rows' `made` did not hold when the sampler was built.
        """
        if self._is_long and mx.default_device() == mx.cpu:
            # Its thread is not kept waiting for each of the many small operations of a draw.
            dispatch(logits)
        logits = self._penalties(logits, inputs, unread)
        if self._bias is not None:
            logits = logits + self._bias
        if len(self._ways) == 1:
            return self._ways[0][1](logits, positions)
        drawn = [
            way(logits[mx.array(rows)], [positions[row] for row in rows])
            for rows, way in self._ways
        ]
        return mx.concatenate(drawn)[self._places]


class _Penalties:
    """Counts of past tokens for the rows that pay for repetition, kept on the device."""

    def __init__(self, draws: Sequence[Draw], vocabulary: int) -> None:
        self._rows = [row for row, draw in enumerate(draws) if draw.policy.is_penalised]
        if not self._rows:
            return
        chosen = [draws[row] for row in self._rows]
        self._index = mx.array(self._rows)
        self._made = mx.stack([_counts(draw.made, vocabulary) for draw in chosen])
        self._seen = mx.stack([_counts(draw.prompt, vocabulary) for draw in chosen]) + self._made
        self._repetition = column([draw.policy.repetition for draw in chosen])
        self._presence = column([draw.policy.presence for draw in chosen])
        self._frequency = column([draw.policy.frequency for draw in chosen])

    def __call__(self, logits: Any, inputs: Any, unread: Sequence[bool]) -> Any:
        if not self._rows:
            return logits
        self._count(inputs, unread)
        chosen = logits[self._index].astype(mx.float32)
        punished = mx.where(chosen > 0, chosen / self._repetition, chosen * self._repetition)
        chosen = mx.where(self._seen > 0, punished, chosen)
        chosen = chosen - self._frequency * self._made - self._presence * (self._made > 0)
        return _replaced(logits, self._index, chosen)

    def _count(self, inputs: Any, unread: Sequence[bool]) -> None:
        rows = mx.arange(len(self._rows))
        new = mx.array([float(unread[row]) for row in self._rows])
        self._made = self._made.at[rows, inputs[self._index]].add(new)
        self._seen = self._seen.at[rows, inputs[self._index]].add(new)


def _replaced(logits: Any, index: Any, rows: Any) -> Any:
    logits = mx.array(logits)
    logits[index] = rows.astype(logits.dtype)
    return logits


def _counts(tokens: Sequence[int], vocabulary: int) -> Any:
    counts = mx.zeros((vocabulary,))
    known = [token for token in tokens if token < vocabulary]
    return counts.at[mx.array(known)].add(1.0) if known else counts


def _bias(policies: Sequence[Policy], vocabulary: int) -> Any:
    """Dense [B, V], or None when no row asks. A token the logits do not have is left out:
    writing there would be a write outside of the array."""
    if not any(policy.bias for policy in policies):
        return None
    bias = mx.zeros((len(policies), vocabulary))
    for row, policy in enumerate(policies):
        known = [(token, weight) for token, weight in policy.bias if token < vocabulary]
        if known:
            tokens, weights = zip(*known, strict=True)
            bias = bias.at[row, mx.array(tokens)].add(mx.array(weights))
    return bias
