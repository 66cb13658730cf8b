"""Attention of one new token a row over keys that are padded on the left, on CUDA.

MLX's quick kernel takes no mask and its masked one is five to eight times slower, so a batch
whose rows differ in length by one token decodes at a fraction of the speed of one whose do not.
Here each row simply begins where its own keys begin.
"""

from functools import lru_cache
from typing import Any

import mlx.core as mx
from mlx_lm.models import base
from mlx_lm.models.cache import BatchKVCache

_DIMENSIONS = (64, 128, 256)
_KINDS = (mx.bfloat16, mx.float16)
_MOST_SHARING = 8  # query heads for each head of keys: their sums are kept in registers

# One block for each row and head of keys. D / 8 threads, a team, look at one key at a time, with
# eight numbers each, for the G query heads that share it; every team has a running softmax of its
# own. They are merged within a warp by shuffles, then across warps in shared memory.
_SOURCE = """
constexpr int TEAM = D / 8;
constexpr int TEAMS = BLOCK / TEAM;
constexpr int WARPS = BLOCK / 32;
constexpr unsigned ALL = 0xffffffffu;
const int lane = threadIdx.x % TEAM;
const int team = threadIdx.x / TEAM;
const int warp = threadIdx.x / 32;
const int pair = blockIdx.y;
const int begin = padding[pair / HEADS];
const int end = length[0];
const long long first = (long long)pair * keys_shape[2] * D + lane * 8;

float query[G][8], sum[G][8], most[G], total[G];
for (int g = 0; g < G; ++g) {
    const T* source = queries + ((long long)pair * G + g) * D + lane * 8;
    most[g] = -1e30f;
    total[g] = 0.0f;
    for (int i = 0; i < 8; ++i) {
        query[g][i] = static_cast<float>(source[i]) * scale[0];
        sum[g][i] = 0.0f;
    }
}

for (int from = begin + team; from - team < end; from += 2 * TEAMS) {
    uint4 loaded[2][2];
    for (int n = 0; n < 2; ++n) {
        const int at = from + n * TEAMS;
        const long long place = first + (long long)(at < end ? at : begin) * D;
        loaded[n][0] = *reinterpret_cast<const uint4*>(keys + place);
        loaded[n][1] = *reinterpret_cast<const uint4*>(values + place);
    }
    for (int n = 0; n < 2; ++n) {
        const bool is_there = from + n * TEAMS < end;
        const T* key = reinterpret_cast<const T*>(&loaded[n][0]);
        const T* value = reinterpret_cast<const T*>(&loaded[n][1]);
        for (int g = 0; g < G; ++g) {
            float score = 0.0f;
            for (int i = 0; i < 8; ++i) score += query[g][i] * static_cast<float>(key[i]);
            for (int step = TEAM / 2; step; step /= 2) score += __shfl_xor_sync(ALL, score, step);
            if (!is_there) continue;
            if (score > most[g]) {
                const float fade = __expf(most[g] - score);
                most[g] = score;
                total[g] *= fade;
                for (int i = 0; i < 8; ++i) sum[g][i] *= fade;
            }
            const float weight = __expf(score - most[g]);
            total[g] += weight;
            for (int i = 0; i < 8; ++i) sum[g][i] += weight * static_cast<float>(value[i]);
        }
    }
}

__shared__ float sums[WARPS][D];
__shared__ float mosts[WARPS], totals[WARPS];
for (int g = 0; g < G; ++g) {
    for (int step = TEAM; step < 32; step *= 2) {
        const float other = __shfl_xor_sync(ALL, most[g], step);
        const float higher = fmaxf(most[g], other);
        const float fade = __expf(most[g] - higher);
        most[g] = higher;
        total[g] *= fade;
        total[g] += __shfl_xor_sync(ALL, total[g], step);
        for (int i = 0; i < 8; ++i) {
            sum[g][i] *= fade;
            sum[g][i] += __shfl_xor_sync(ALL, sum[g][i], step);
        }
    }
    if (threadIdx.x % 32 < TEAM) {
        for (int i = 0; i < 8; ++i) sums[warp][lane * 8 + i] = sum[g][i];
        if (lane == 0) {
            mosts[warp] = most[g];
            totals[warp] = total[g];
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < D; i += BLOCK) {
        float higher = -1e30f, all = 0.0f, made = 0.0f;
        for (int w = 0; w < WARPS; ++w) higher = fmaxf(higher, mosts[w]);
        for (int w = 0; w < WARPS; ++w) {
            const float fade = __expf(mosts[w] - higher);
            all += totals[w] * fade;
            made += sums[w][i] * fade;
        }
        out[((long long)pair * G + g) * D + i] = static_cast<T>(made / all);
    }
    __syncthreads();
}
"""


def attend(queries: Any, keys: Any, values: Any, cache: Any, *args: Any, **options: Any) -> Any:
    """mlx-lm's `scaled_dot_product_attention`, for models that mask nothing but the padding."""
    if not args and _fits(queries, cache, options.get("sinks")):
        return _attended(queries, cache, options["scale"])
    return base.scaled_dot_product_attention(queries, keys, values, cache, *args, **options)


def _fits(queries: Any, cache: Any, sinks: Any) -> bool:
    if type(cache) is not BatchKVCache or sinks is not None or queries.shape[2] != 1:
        return False
    keys: Any = cache.keys
    values: Any = cache.values
    heads, wide = keys.shape[1], queries.shape[-1]
    return (
        wide in _DIMENSIONS
        and values.shape[-1] == wide
        and queries.dtype in _KINDS
        and keys.dtype == queries.dtype
        and queries.shape[1] % heads == 0
        and queries.shape[1] // heads <= _MOST_SHARING
    )


def _attended(queries: Any, cache: Any, scale: float) -> Any:
    """Queries [B, heads, 1, D] over all that `cache` holds; the same shape."""
    rows, heads, _, wide = queries.shape
    shared = cache.keys.shape[1]
    block = 512 if heads // shared <= 4 and wide <= 128 else 256
    constants = {"D": wide, "G": heads // shared, "HEADS": shared, "BLOCK": block}
    (found,) = _kernel()(
        inputs=[
            queries,
            cache.keys,
            cache.values,
            cache.left_padding,
            _length(cache._idx),
            _scale(scale),
        ],
        template=[("T", queries.dtype), *constants.items()],
        grid=(block, rows * shared, 1),
        threadgroup=(block, 1, 1),
        output_shapes=[queries.shape],
        output_dtypes=[queries.dtype],
    )
    return found


@lru_cache(1)
def _kernel() -> Any:
    names = ["queries", "keys", "values", "padding", "length", "scale"]
    return mx.fast.cuda_kernel(
        name="mlxk_padded_attention", input_names=names, output_names=["out"], source=_SOURCE
    )


@lru_cache(8)
def _length(tokens: int) -> Any:
    """The same array for all layers of a step."""
    return mx.array([tokens], mx.int32)


@lru_cache(8)
def _scale(scale: float) -> Any:
    return mx.array([scale], mx.float32)
