"""How much memory a model will need: one estimate for every command. Pure numbers."""

from dataclasses import dataclass

GB = 1e9
SPARE = 1.1  # a tenth for everything that is neither weights nor cache
# A group of quantised weights or cache entries carries a scale and a bias of 16 bits each.
_OVERHEAD_BITS = 32


@dataclass(frozen=True, slots=True)
class Cache:
    """The key-value cache of a model at its longest context."""

    layers: int
    kv_heads: int
    head_dim: int
    tokens: int
    bits: int | None = None
    group_size: int = 64


@dataclass(frozen=True, slots=True)
class Estimate:
    weights_gb: float
    kv_gb: float
    total_gb: float


def kv_bytes(cache: Cache) -> float:
    """Keys and values: 2 x layers x heads x dimension x tokens, at so many bits each."""
    width = 16.0 if cache.bits is None else cache.bits + _OVERHEAD_BITS / cache.group_size
    return 2 * cache.layers * cache.kv_heads * cache.head_dim * cache.tokens * width / 8


def estimate(weight_bytes: float, cache: Cache | None) -> Estimate:
    kv = kv_bytes(cache) if cache else 0.0
    total = (weight_bytes + kv) * SPARE
    return Estimate(_gb(weight_bytes), _gb(kv), _gb(total))


def weights_gb(params_b: float, quant: str) -> float:
    """From the number of parameters alone: groups of 64 at 4 or 8 bits, or 16 bits."""
    return params_b * {"int4": 4.5, "int8": 8.5}.get(quant, 16.0) / 8


def _gb(count: float) -> float:
    return round(count / GB, 3)
