"""mlx-lm's caches as we use them: made for a model, cut to a shorter prefix, counted in bytes."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mlx_lm.models.cache import (
    ArraysCache,
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
