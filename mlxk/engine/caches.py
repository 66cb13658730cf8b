"""mlx-lm's caches as we use them: made for a model, cut to a shorter prefix, counted in bytes."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import (
    ArraysCache,
    BatchKVCache,
    CacheList,
    KVCache,
    QuantizedKVCache,
    RotatingKVCache,
    make_prompt_cache,
)

Caches = list[Any]


def maker(model: Any, kv_bits: int | None = None, group: int = 64) -> Callable[[], Caches]:
    """Empty caches for one sequence, one a layer; plain ones are quantised when asked for."""

    def make() -> Caches:
        caches: Caches = make_prompt_cache(model)
        if kv_bits is None:
            return caches
        return [
            QuantizedKVCache(group, kv_bits) if type(cache) is KVCache else cache
            for cache in caches
        ]

    return make


def can_merge(caches: Caches) -> bool:
    return all(hasattr(cache, "merge") for cache in caches)


def is_sliceable(caches: Caches) -> bool:
    """Whether any shorter prefix can be had too, now and for longer sequences."""
    return all(type(cache) in (KVCache, QuantizedKVCache) for cache in caches)


def prefix(caches: Caches, length: int, whole: int) -> Caches | None:
    """Copies that hold the first `length` of `whole` tokens; None where a layer cannot go back.

    A running state has no past, and a window has lost it as soon as it has slid. Arrays are not
    copied but sliced, so that nothing written to the copy can reach the original.
    """
    cuts = [_cut(cache, length, whole) for cache in caches]
    return None if any(cut is None for cut in cuts) else cuts


def _cut(cache: Any, length: int, whole: int) -> Any:
    match cache:
        case KVCache():
            return _sliced(cache, length)
        case QuantizedKVCache():
            return _sliced(cache, length)
        case RotatingKVCache() if length < whole:
            has_all = cache.offset < cache.max_size and cache.offset == whole
            return _sliced(cache, length, _idx=length) if has_all else None
        case CacheList():
            cuts = [_cut(part, length, whole) for part in cache.caches]
            return None if any(cut is None for cut in cuts) else CacheList(*cuts)
        case _:
            return copy.deepcopy(cache) if length == whole else None


def _sliced(cache: Any, length: int, **fields: int) -> Any:
    made = copy.copy(cache)
    made.keys = _first(cache.keys, length)
    made.values = _first(cache.values, length)
    made.offset = length
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def _first(array: Any, length: int) -> Any:
    """Along the axis of tokens, which is the last but one; quantised keys are a tuple."""
    if isinstance(array, (tuple, list)):
        return tuple(_first(part, length) for part in array)
    return array[..., :length, :]


def extracted(cache: Any, row: int, length: int) -> Any:
    """A row's last `length` tokens as a cache of its own. mlx-lm's way waits for the device."""
    if type(cache) is not BatchKVCache:
        return cache.extract(row)
    made, end = KVCache(), cache._idx
    held: tuple[Any, Any] = cache.keys, cache.values
    made.keys, made.values = (
        mx.contiguous(each[row : row + 1, :, end - length : end]) for each in held
    )
    made.offset = length
    return made


def filter_rows(cache: Any, rows: Sequence[int], unused: int) -> None:
    """Only these rows stay, in this order; the first `unused` places are padding in all of them,
    and whole steps of those go.

    Runs of rows are copied as they are: MLX's gather takes seven times as long on CUDA.
    """
    indices = mx.array(list(rows))
    if type(cache) is not BatchKVCache:
        cache.filter(indices)
        return
    unused -= unused % cache.step
    held: tuple[Any, Any] = cache.keys, cache.values
    cache.keys, cache.values = (
        _joined([each[low:high, :, unused:] for low, high in _runs(rows)]) for each in held
    )
    cache.offset, cache.left_padding = cache.offset[indices], cache.left_padding[indices] - unused
    cache._idx -= unused


def _joined(parts: list[Any]) -> Any:
    return mx.concatenate(parts) if len(parts) > 1 else mx.contiguous(parts[0])


def _runs(rows: Sequence[int]) -> list[tuple[int, int]]:
    """[low, high) of rows that follow each other."""
    runs: list[tuple[int, int]] = []
    for row in rows:
        if runs and runs[-1][1] == row:
            runs[-1] = (runs[-1][0], row + 1)
        else:
            runs.append((row, row + 1))
    return runs


def group_size(caches: Sequence[Any]) -> int:
    """Values that share a scale when quantised: the heads of every plain layer must divide."""
    plain = [cache for cache in caches if type(cache) is KVCache]
    for size in (64, 32):
        parts: list[Any] = [part for c in plain for part in (c.keys, c.values)]
        if all(part.shape[-1] % size == 0 for part in parts):
            return size
    raise ValueError("kv_bits is not supported for this model's head size")


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a sequence costs: bytes a token, windows of (tokens, bytes a token), bytes at rest."""

    token_bytes: int
    windows: tuple[tuple[int, int], ...]
    fixed_bytes: int

    def bytes(self, tokens: int) -> int:
        sliding = sum(min(tokens, most) * each for most, each in self.windows)
        return self.fixed_bytes + self.token_bytes * tokens + sliding


def geometry(caches: Sequence[Any]) -> Geometry:
    """Measured on caches that hold something: shapes in a configuration say it in many ways."""
    growing, windows, fixed = 0, [], 0
    for cache in _leaves(caches):
        if isinstance(cache, RotatingKVCache):
            windows.append((cache.max_size, _token_bytes(cache)))
        elif isinstance(cache, ArraysCache) or not hasattr(cache, "keys"):
            fixed += cache.nbytes
        else:
            growing += _token_bytes(cache)
    return Geometry(growing, tuple(windows), fixed)


def _leaves(caches: Sequence[Any]) -> Sequence[Any]:
    return [
        leaf
        for cache in caches
        for leaf in (_leaves(cache.caches) if isinstance(cache, CacheList) else [cache])
    ]


def _token_bytes(cache: Any) -> int:
    """The buffer is longer than what it holds: bytes by its own length."""
    keys = cache.keys[0] if isinstance(cache.keys, (tuple, list)) else cache.keys
    return int(cache.nbytes // keys.shape[-2])
