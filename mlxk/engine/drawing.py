"""Ways to draw a token for each row of logits [B, V]: by the row alone, without sorting the
vocabulary and without reading anything back from the device.

Weights are shares times a constant: a row's best token weighs 1. They stand in columns
[B, height, N], neighbours beside each other: all columns are summed at once, in memory's order.
"""

from collections.abc import Callable, Sequence
from math import ceil, e, inf, log, log2
from typing import Any

import mlx.core as mx
import numpy as np

from mlxk.engine.dice import uniforms
from mlxk.engine.policy import Policy

# Tokens [B] of logits [B, V] and of the places in their answers where they will stand.
Way = Callable[[Any, Sequence[int]], Any]

_HEIGHT = 128
_PEAK_HEIGHT = 32
_LEAST_FOREMOST = 32
# The chance that every try misses the nucleus.
_MISS = 1e-9
# Sizes at which twenty simple steps take half as long on a CPU as MLX's own power.
_SIMPLE = range(1 << 12, 100_000)
# What is added to this is rounded to an integer, which its last bits hold.
_ROUNDING = 1.5 * 2.0**23
# 2 ** x - 1 for x from -1/2 to 1/2, to 1e-7: factors of x ** 5 and downwards.
_SERIES = (0.0013264726, 0.009671513, 0.055507336, 0.24022242, 0.693147)


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
        self._heat = _each([log2(e) / policy.temperature for policy in policies])
        self._top_p = _each([policy.top_p for policy in policies])
        self._min_p = _each([policy.min_p for policy in policies])
        self._has_least = any(policy.min_p > 0 for policy in policies)

    def __call__(self, logits: Any, positions: Sequence[int]) -> Any:
        weights = self._heavy(self._weights(_columns(logits, _HEIGHT)))
        return _drawn(weights, weights.sum(axis=1), *self._numbers(positions, 1)[0])[:, 0]

    def _weights(self, columns: Any) -> Any:
        peak = columns.max(axis=1, keepdims=True).max(axis=2, keepdims=True)
        return _power_of_two((columns - peak) * self._heat)

    def _heavy(self, weights: Any) -> Any:
        return weights * _factor(weights >= self._min_p) if self._has_least else weights

    def _numbers(self, positions: Sequence[int], count: int, rounds: int = 1) -> list[Any]:
        """For each round those that columns and those that places are drawn by: [B, count]."""
        numbers = uniforms(self._seeds, positions, 2 * count * rounds)
        arrays = [mx.array(each) for each in np.split(numbers, 2 * rounds, axis=1)]
        return list(zip(arrays[::2], arrays[1::2], strict=True))


class Foremost(Plain):
    """From the `top_k` best, of which `top_p` and `min_p` may leave fewer."""

    def __init__(self, policies: Sequence[Policy], count: int) -> None:
        super().__init__(policies)
        self._count = count
        top_k = _each([policy.top_k for policy in policies])
        self._is_in = (mx.arange(count)[:, None] < top_k).astype(mx.float32)

    def __call__(self, logits: Any, positions: Sequence[int]) -> Any:
        ranked, tokens = _foremost(logits, self._count)
        weights = self._weights(ranked.astype(mx.float32)[..., None]) * self._is_in
        mass = mx.cumsum(weights, axis=1)
        weights = weights * (mass - weights < self._top_p * mass[:, -1:])
        ((numbers, _),) = self._numbers(positions, 1)
        rank = _reached(self._heavy(weights), numbers[..., None], axis=1)
        return mx.take_along_axis(tokens, rank, axis=-1)[:, 0]


class Nucleus(Plain):
    """From the best tokens that have `top_p` of the weight together.

    Tokens are drawn from all, and the first that is among those is the answer: an exact draw. It
    is among them if less than `top_p` is heavier than it; `probes` halvings find the lightest
    such of 2 ** probes tries. If there is none, the next of the `rounds` draws from what is
    heavier than every try; after the last one it is the heaviest try.
    """

    def __init__(self, policies: Sequence[Policy], probes: int, rounds: int) -> None:
        super().__init__(policies)
        self._tries = 1 << probes
        self._rounds = rounds

    def __call__(self, logits: Any, positions: Sequence[int]) -> Any:
        weights = self._weights(_columns(logits, _HEIGHT))
        sums = weights.sum(axis=1)
        enough = self._top_p[:, 0] * sums.sum(axis=-1, keepdims=True)
        if self._has_least:
            weights = self._heavy(weights)
            sums = weights.sum(axis=1)
        numbers = self._numbers(positions, self._tries, self._rounds)
        return _tried(weights, sums, enough, numbers)[:, 0]


def _tried(weights: Any, sums: Any, enough: Any, numbers: list[Any]) -> Any:
    """An answer [B, 1] of as many rounds as there are numbers for."""
    tokens = _drawn(weights, sums, *numbers[0])
    tried = mx.take_along_axis(weights.flatten(1), tokens, axis=-1)
    ranked = mx.sort(tried, axis=-1)
    first = _first(tried >= _lightest(weights, ranked, enough), axis=-1, keepdims=True)
    answer = mx.take_along_axis(tokens, first, axis=-1)
    if len(numbers) == 1:
        return answer
    weights = _heavier(weights, ranked[:, -1:])
    sums = weights.sum(axis=1)
    is_hit = sums.sum(axis=-1, keepdims=True) < enough
    return mx.where(is_hit, answer, _tried(weights, sums, enough, numbers[1:]))


def _lightest(weights: Any, ranked: Any, enough: Any) -> Any:
    """The first of the ranked weights [B, K] than which less is heavier than is enough, or else
    the last: [B, 1]."""
    while middle := ranked.shape[-1] // 2:
        heavier = _heavier(weights, ranked[:, middle - 1 : middle])
        is_in = heavier.sum(axis=1).sum(axis=-1, keepdims=True) < enough
        ranked = mx.where(is_in, ranked[:, :middle], ranked[:, middle:])
    return ranked


def _heavier(weights: Any, least: Any) -> Any:
    return weights * _factor(weights > least[..., None])


def _tries(top_p: float) -> tuple[int, int]:
    """Probes and rounds for `Nucleus` to miss in at most one of a billion draws."""
    for probes in (3, 4, 5):
        if (1 - top_p) ** (1 << probes) < _MISS:
            return probes, 1
    return 4, 1 + ceil(log(1 / top_p, 3.5))


def _foremost(logits: Any, count: int) -> tuple[Any, Any]:
    """The best logits and their tokens [B, count], best first. Each is in one of the `count` best
    columns."""
    columns = _columns(logits, _PEAK_HEIGHT)
    peaks = columns.max(axis=1)
    if count >= peaks.shape[-1]:
        return _ranked(logits, count)
    chosen = mx.argpartition(peaks, -count, axis=-1)[:, None, -count:]
    ranked, places = _ranked(mx.take_along_axis(columns, chosen, axis=2).flatten(1), count)
    tokens = (mx.arange(_PEAK_HEIGHT)[:, None] * peaks.shape[-1] + chosen).flatten(1)
    # Where all is ruled out, the filler of the last columns is as good as any.
    tokens = mx.minimum(tokens, logits.shape[-1] - 1)
    return ranked, mx.take_along_axis(tokens, places, axis=-1)


def _ranked(logits: Any, count: int) -> tuple[Any, Any]:
    places = mx.argpartition(logits, -count, axis=-1)[:, -count:]
    order = mx.argsort(-mx.take_along_axis(logits, places, axis=-1), axis=-1)
    places = mx.take_along_axis(places, order, axis=-1)
    return mx.take_along_axis(logits, places, axis=-1), places


def _drawn(weights: Any, sums: Any, numbers: Any, others: Any) -> Any:
    """Tokens [B, K]: a column by one number [B, K], a place in it by another."""
    chosen = _reached(sums[:, None], numbers[..., None], axis=-1)
    inside = mx.take_along_axis(weights, chosen[:, None], axis=2)
    return _reached(inside, others[:, None], axis=1) * sums.shape[-1] + chosen


def _reached(weights: Any, numbers: Any, axis: int) -> Any:
    """Where the cumulated weights come to exceed this share of all of them.

    However it is rounded, a number times a sum is less than the sum. Devices that cumulate in
    parallel round places without a weight in ways of their own: nothing is reached there.
    """
    mass = mx.cumsum(weights, axis=axis) * _factor(weights > 0)
    return _first(mass > numbers * mass.max(axis=axis, keepdims=True), axis=axis)


def _power_of_two(exponents: Any) -> Any:
    """Of exponents that are not above 0."""
    if mx.default_device() != mx.cpu or exponents.size // len(exponents) not in _SIMPLE:
        return mx.power(2.0, exponents)
    exponents = mx.maximum(exponents, -127.0)
    shifted = exponents + _ROUNDING
    rest = exponents - (shifted - _ROUNDING)
    power = rest * _SERIES[0]
    for factor in _SERIES[1:]:
        power = (power + factor) * rest
    scale = mx.left_shift(shifted.view(mx.int32), 23)
    return ((power + 1.0).view(mx.int32) + scale).view(mx.float32)


def _columns(logits: Any, height: int) -> Any:
    """[B, V] as [B, height, N]."""
    logits = logits.astype(mx.float32)
    missing = -logits.shape[-1] % height
    if missing:
        logits = mx.pad(logits, [(0, 0), (0, missing)], constant_values=-inf)
    return logits.reshape(logits.shape[0], height, -1)


def _first(mask: Any, **axis: Any) -> Any:
    """Where the first true value is; 0 if there is none."""
    return mx.argmax(mask.view(mx.uint8), **axis)


def _factor(mask: Any) -> Any:
    """1 or 0: on a CPU, MLX makes floats of bytes three times as fast as of booleans."""
    return mask.view(mx.uint8)


def _each(values: Sequence[float]) -> Any:
    """[B, 1, 1]"""
    return column(values)[..., None]


def column(values: Sequence[float], kind: Any = mx.float32) -> Any:
    """[B, 1]: a number for each row."""
    return mx.array(list(values), dtype=kind)[:, None]
