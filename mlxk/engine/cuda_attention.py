"""What models call to attend on CUDA: whichever of three ways is quick for these shapes.

MLX asks cuDNN for a plan for every shape that it has not met, which takes 50 to 90 ms, and a
conversation has a new one with every turn. So cuDNN gets the long passes, whose shapes come again
(`shapes.py`), our own kernel the decode steps, and plain matrix products, which need no plan, the
rest.
"""

from functools import lru_cache
from typing import Any

import mlx.core as mx
from mlx_lm.models import base
from mlx_lm.models.cache import KVCache

from mlxk.engine import padded_attention
from mlxk.engine.shapes import GRID


def attend(queries: Any, keys: Any, values: Any, cache: Any, *args: Any, **options: Any) -> Any:
    """mlx-lm's `scaled_dot_product_attention`, for models that mask nothing but the padding."""
    mask = options.get("mask")
    is_plain = not args and options.get("sinks") is None and not hasattr(cache, "bits")
    if is_plain and padded_attention.fits(queries, cache):
        return padded_attention.attended(queries, cache, options["scale"])
    if is_plain and 1 < queries.shape[2] <= GRID and _can_mask(mask):
        if type(cache) is KVCache and isinstance(mask, str):
            # All that the buffer has room for: its length comes again.
            keys, values = cache.keys, cache.values
            mask = _causal(queries.shape[2], cache.offset, keys.shape[2])
        return composed(queries, keys, values, options["scale"], mask)
    return base.scaled_dot_product_attention(queries, keys, values, cache, *args, **options)


def _can_mask(mask: Any) -> bool:
    """Not where each head has its own."""
    return not isinstance(mask, mx.array) or mask.ndim < 4 or mask.shape[1] == 1


@lru_cache(4)
def _causal(count: int, end: int, room: int) -> Any:
    """[L, N]: the last `count` of `end` tokens see those up to themselves. One for all layers."""
    return mx.arange(room) <= mx.arange(end - count, end)[:, None]


def composed(queries: Any, keys: Any, values: Any, scale: float, mask: Any) -> Any:
    """Queries [B, heads, L, D] over keys and values [B, shared, N, D], in 32 bits."""
    rows, heads, count, wide = queries.shape
    shared, length = keys.shape[1:3]
    # The heads that share keys stand below each other: one product for all of them.
    asked = (queries.astype(mx.float32) * scale).reshape(rows, shared, -1, wide)
    scores = asked @ keys.astype(mx.float32).swapaxes(-1, -2)
    scores = _masked(scores.reshape(rows, heads, count, length), mask)
    weights = mx.softmax(scores, axis=-1).reshape(rows, shared, -1, length)
    return (
        (weights @ values.astype(mx.float32)).reshape(rows, heads, count, -1).astype(queries.dtype)
    )


def _masked(scores: Any, mask: Any) -> Any:
    if mask is None:
        return scores
    if isinstance(mask, str):
        count, length = scores.shape[-2:]
        mask = _causal(count, length, length)
    if mask.dtype == mx.bool_:
        return mx.where(mask, scores, mx.finfo(mx.float32).min)
    return scores + mask
