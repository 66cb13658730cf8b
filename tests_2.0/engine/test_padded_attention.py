"""Runs where CUDA is; what it replaces is tried out elsewhere on every model that is loaded."""

import mlx.core as mx
import pytest
from mlx_lm.models import base
from mlx_lm.models.cache import BatchKVCache

from mlxk.engine import padded_attention

pytestmark = pytest.mark.skipif(
    mx.metal.is_available() or mx.default_device().type != mx.DeviceType.gpu, reason="needs CUDA"
)


@pytest.mark.parametrize("kind", [mx.bfloat16, mx.float16])
@pytest.mark.parametrize(
    ("heads", "shared", "wide", "length", "padding"),
    [
        (8, 8, 64, 37, [0, 5, 36]),
        (32, 8, 128, 300, [0, 1, 299, 120]),
        (16, 2, 128, 1000, [3, 0]),
        (4, 4, 256, 70, [0, 0, 1, 2, 69]),
        (32, 8, 128, 2048, [60 * row for row in range(32)]),
        (8, 8, 64, 2, [0, 1]),
    ],
)
def test_it_is_as_exact_as_what_it_replaces(kind, heads, shared, wide, length, padding):
    mx.random.seed(1)
    rows, cache = len(padding), BatchKVCache(padding)
    keys, values = (mx.random.normal((rows, shared, length, wide)).astype(kind) for _ in range(2))
    queries = 2 * mx.random.normal((rows, heads, 1, wide)).astype(kind)
    cache.update_and_fetch(keys[:, :, :-1], values[:, :, :-1])
    options = {"scale": wide**-0.5, "mask": cache.make_mask(1)}
    held = cache.update_and_fetch(keys[:, :, -1:], values[:, :, -1:])
    exact = base.scaled_dot_product_attention(
        *(array.astype(mx.float32) for array in (queries, *held)), cache, **options
    )
    theirs = base.scaled_dot_product_attention(queries, *held, cache, **options)
    assert padded_attention._fits(queries, cache, None)
    ours = padded_attention.attend(queries, *held, cache, **options)
    error, other = (mx.abs(found - exact).max().item() for found in (ours, theirs))
    assert error <= max(2 * other, 0.01 * mx.abs(exact).max().item())
