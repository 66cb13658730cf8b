"""Ways to draw a token for each row of logits [B, V]: by the row alone, without sorting the
vocabulary and without reading anything back from the device.

Weights are shares times a constant: a row's best token weighs 1.
"""

from collections.abc import Callable, Sequence
from math import ceil, e, log, log2
from typing import Any

import mlx.core as mx

from mlxk.engine.dice import uniforms
from mlxk.engine.policy import Policy

# Tokens [B] of logits [B, V] and of the places in their answers where they will stand.
Way = Callable[[Any, Sequence[int]], Any]

_BLOCK = 128
_PEAK_BLOCK = 32
_LEAST_FOREMOST = 32
# The chance that every try misses the nucleus.
_MISS = 1e-9


def ways(policies: Sequence[Policy], vocabulary: int) -> list[tuple[list[int], Way]]:
    """The rows that are drawn together, and how. A row's way is its own policy's choice."""
    rows: dict[tuple[Any, ...], list[int]] = {}
    for row, policy in enumerate(policies):
        rows.setdefault(_kind(policy, vocabulary), []).append(row)
    return [
        (mine, make([policies[row] for row in mine], *sizes))
        for (make, *sizes), mine in rows.items()
    ]


def _kind(policy: Policy, vocabulary: int) -> tuple[Any, ...]:
    # The best token has at least the share that all would have if they were equal.
    if policy.is_greedy or policy.top_p * vocabulary <= 1:
        return (_best,)
    if 0 < policy.top_k < vocabulary:
        count = max(_LEAST_FOREMOST, 1 << (policy.top_k - 1).bit_length())
        return Foremost, min(count, vocabulary)
    return (Nucleus, *_tries(policy.top_p)) if policy.top_p < 1 else (Plain,)


def _best(_policies: Sequence[Policy]) -> Way:
    return lambda logits, _positions: mx.argmax(logits, axis=-1)


class Plain:
    """From all tokens, or from those that weigh enough beside the best one."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._seeds = [policy.seed for policy in policies]
        self._heat = column([log2(e) / policy.temperature for policy in policies])
        self._top_p = column([policy.top_p for policy in policies])
        self._min_p = column([policy.min_p for policy in policies])
        self._has_least = any(policy.min_p > 0 for policy in policies)

    def __call__(self, logits: Any, positions: Sequence[int]) -> Any:
        peak = logits.max(axis=-1, keepdims=True)
        weights = self._heavy(self._weights(logits, peak))
        return _drawn(weights, _mass(weights), self._numbers(positions))[:, 0]

    def _weights(self, logits: Any, peak: Any) -> Any:
        # MLX's own exp takes three times as long on Linux.
        return mx.power(2.0, (logits.astype(mx.float32) - peak) * self._heat)

    def _heavy(self, weights: Any) -> Any:
        return weights * (weights >= self._min_p) if self._has_least else weights

    def _numbers(self, positions: Sequence[int], count: int = 1) -> Any:
        return mx.array(uniforms(self._seeds, positions, count))


class Foremost(Plain):
    """From the `top_k` best, of which `top_p` and `min_p` may leave fewer."""

    def __init__(self, policies: Sequence[Policy], count: int) -> None:
        super().__init__(policies)
        self._count = count
        self._top_k = column([policy.top_k for policy in policies], mx.int32)

    def __call__(self, logits: Any, positions: Sequence[int]) -> Any:
        ranked, tokens = _foremost(logits, self._count)
        weights = self._weights(ranked, ranked[:, :1])
        weights = weights * (mx.arange(self._count) < self._top_k)
        mass = mx.cumsum(weights, axis=-1)
        weights = weights * (mass - weights < self._top_p * mass[:, -1:])
        mass = mx.cumsum(self._heavy(weights), axis=-1)
        rank = _first(mass, self._numbers(positions) * mass[:, -1:])
        return mx.take_along_axis(tokens, rank[:, None], axis=-1)[:, 0]


class Nucleus(Plain):
    """From the best tokens that have `top_p` of the weight together.

    Tokens are drawn from all, and the first that is among those is the answer: an exact draw. It
    is among them if less than `top_p` is heavier than it; `probes` halvings find the lightest
    such of 2 ** probes - 1 tries. If there is none, the next of the `rounds` draws from what is
    heavier than every try; after the last one it is the best token.
    """

    def __init__(self, policies: Sequence[Policy], probes: int, rounds: int) -> None:
        super().__init__(policies)
        self._steps = [1 << at for at in reversed(range(probes))]
        self._tries = (1 << probes) - 1
        self._rounds = rounds

    def __call__(self, logits: Any, positions: Sequence[int]) -> Any:
        answer = mx.argmax(logits, axis=-1, keepdims=True)
        weights = self._weights(logits, mx.take_along_axis(logits, answer, axis=-1))
        mass = _mass(weights)
        enough = self._top_p * mass[:, -1:]
        if self._has_least:
            weights = self._heavy(weights)
            mass = _mass(weights)
        is_open = mx.ones(answer.shape, mx.bool_)
        numbers = self._numbers(positions, self._tries * self._rounds)
        for few in mx.split(numbers, self._rounds, axis=-1):
            tokens = _drawn(weights, mass, few)
            tried = mx.take_along_axis(weights, tokens, axis=-1)
            ranked = -mx.sort(-tried, axis=-1)
            least = self._least(weights, ranked, enough)
            first = mx.argmax((tried >= least).astype(mx.int32), axis=-1, keepdims=True)
            is_hit = is_open & (least <= ranked[:, :1])
            answer = mx.where(is_hit, mx.take_along_axis(tokens, first, axis=-1), answer)
            is_open = is_open & ~is_hit
            weights = weights * (weights > ranked[:, :1])
            mass = _mass(weights)
        return answer[:, 0]

    def _least(self, weights: Any, ranked: Any, enough: Any) -> Any:
        """The lightest of the tries that are among the best [B, 1]; infinite if none is."""
        ranked = mx.pad(ranked, [(0, 0), (1, 0)], constant_values=float("inf"))
        rank = mx.zeros(enough.shape, mx.int32)
        for step in self._steps:
            least = mx.take_along_axis(ranked, rank + step, axis=-1)
            heavier = _mass(weights * (weights > least))[:, -1:]
            rank = mx.where(heavier < enough, rank + step, rank)
        return mx.take_along_axis(ranked, rank, axis=-1)


def _tries(top_p: float) -> tuple[int, int]:
    """Probes and rounds for `Nucleus` to miss in at most one of a billion draws."""
    for probes in (3, 4, 5):
        if (1 - top_p) ** ((1 << probes) - 1) < _MISS:
            return probes, 1
    return 4, 2 + ceil(log(1 / top_p, 16))


def _foremost(logits: Any, count: int) -> tuple[Any, Any]:
    """The best logits and their tokens [B, count], best first. Each is in one of the `count` best
    blocks."""
    blocks = _blocks(logits, _PEAK_BLOCK, float("-inf"))
    peaks = blocks.max(axis=-1)
    if count >= peaks.shape[-1]:
        return _ranked(logits, count)
    chosen = mx.argpartition(peaks, -count, axis=-1)[:, -count:, None]
    ranked, places = _ranked(mx.take_along_axis(blocks, chosen, axis=1).flatten(1), count)
    tokens = (chosen * _PEAK_BLOCK + mx.arange(_PEAK_BLOCK)).flatten(1)
    # Where all is ruled out, the filler of the last block is as good as any.
    tokens = mx.minimum(tokens, logits.shape[-1] - 1)
    return ranked, mx.take_along_axis(tokens, places, axis=-1)


def _ranked(logits: Any, count: int) -> tuple[Any, Any]:
    places = mx.argpartition(logits, -count, axis=-1)[:, -count:]
    order = mx.argsort(-mx.take_along_axis(logits, places, axis=-1), axis=-1)
    places = mx.take_along_axis(places, order, axis=-1)
    return mx.take_along_axis(logits, places, axis=-1), places


def _drawn(weights: Any, mass: Any, numbers: Any) -> Any:
    """Tokens [B, K] by the inverse of the cumulated weight: the block first, then the place."""
    wanted = (numbers * mass[:, -1:])[:, :, None]
    block = _first(mass[:, None], wanted)
    before = mx.where(block > 0, mx.take_along_axis(mass, mx.maximum(block, 1) - 1, axis=-1), 0.0)
    inside = mx.take_along_axis(_blocks(weights, _BLOCK), block[:, :, None], axis=1)
    return block * _BLOCK + _first(mx.cumsum(inside, axis=-1), wanted - before[:, :, None])


def _mass(weights: Any) -> Any:
    """Cumulated block by block [B, N]."""
    return mx.cumsum(_blocks(weights, _BLOCK).sum(axis=-1), axis=-1)


def _blocks(values: Any, size: int, filler: float = 0.0) -> Any:
    """[B, V] as [B, N, size]."""
    missing = -values.shape[-1] % size
    if missing:
        values = mx.pad(values, [(0, 0), (0, missing)], constant_values=filler)
    return values.reshape(values.shape[0], -1, size)


def _first(mass: Any, wanted: Any) -> Any:
    """The first index of the last axis whose cumulated weight exceeds what is wanted."""
    below = (mass <= wanted).sum(axis=-1)
    # Rounding can ask for a little more than there is; it is then the last that weighs anything.
    return mx.minimum(below, (mass < mass[..., -1:]).sum(axis=-1))


def column(values: Sequence[float], kind: Any = mx.float32) -> Any:
    """[B, 1]: a number for each row."""
    return mx.array(list(values), dtype=kind)[:, None]
