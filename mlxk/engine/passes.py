"""Forward passes over several tokens of one or more sequences, some of which may be padding."""

from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import BatchKVCache, KVCache

from mlxk.engine.caches import Caches


def together(
    model: Any, tokens: list[list[int]], held: Caches, padding: list[int], *, is_even: bool
) -> None:
    """Over rows of `tokens` [B, L] of which the last `padding` [B] are none. `held` are merged
    caches; `is_even` when they hold as much of each row.

    Even rows need no mask but the causal one, for which all devices have a quicker way.
    """
    if is_even:
        plain = [_unpadded(cache) for cache in held]
        model(mx.array(tokens), cache=plain)
        for cache, read in zip(held, plain, strict=True):
            cache.keys, cache.values, cache._idx = read.keys, read.values, read.offset
            cache.offset = cache.offset + len(tokens[0])
            cache.prepare(right_padding=padding)
            cache.finalize()
        return
    for cache in held if any(padding) else ():
        cache.prepare(right_padding=padding)
    model(mx.array(tokens), cache=held)
    for cache in held if any(padding) else ():
        cache.finalize()


def alone(model: Any, held: Caches, again: list[int], tokens: list[int], width: int) -> Any:
    """Over one row; logits [L, V] of `tokens`. What is held ends with `again`, which is read once
    more, so that the pass has the shape that it should; padding up to `width` is cut off again.
    """
    padding = width - len(again) - len(tokens)
    for cache in held:
        cache.trim(len(again))
        _make_room(cache, width)
    logits = model(mx.array([[*again, *tokens, *[0] * padding]]), cache=held)
    for cache in held:
        cache.trim(padding)
    return logits[0, len(again) : len(again) + len(tokens)]


def _make_room(cache: Any, count: int) -> None:
    """For so many more tokens, in a buffer of whole steps: one that was cut has any length."""
    if type(cache) is not KVCache or cache.keys is None:
        return
    held: tuple[Any, Any] = cache.keys, cache.values
    room = held[0].shape[2]
    missing = -(-max(cache.offset + count, room) // cache.step) * cache.step - room
    if missing:
        wider = [(0, 0), (0, 0), (0, missing), (0, 0)]
        cache.keys, cache.values = (mx.pad(each, wider) for each in held)


def _unpadded(cache: BatchKVCache) -> KVCache:
    plain = KVCache()
    plain.keys, plain.values, plain.offset = cache.keys, cache.values, cache._idx
    return plain
