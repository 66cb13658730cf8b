"""One forward pass over rows of very different lengths: attention runs once for each part.

mlx-lm's caches are padded to the longest row, so a long one makes every other as dear as itself.
Here all layers see one batch, and only attention sees the parts. Models call their attention by
a name in their own module: that name is replaced, and whether the result is the same is tried out.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import mlx.core as mx
from mlx_lm.models import base
from mlx_lm.models.cache import KVCache

from mlxk.engine import padded_attention
from mlxk.engine.caches import Caches

_NAME = "scaled_dot_product_attention"
_PACKAGE = "mlx_lm.models."
_CLOSE = 0.03


class Ragged:
    """One layer's caches of several parts, whose rows follow each other in the batch."""

    def __init__(self, parts: Sequence[tuple[int, Any]]) -> None:
        self.parts = parts
        self.offset: Any = mx.concatenate([_offsets(size, cache) for size, cache in parts])

    def update_and_fetch(self, keys: Any, values: Any) -> tuple[list[Any], list[Any]]:
        fetched = [
            cache.update_and_fetch(keys[low:high], values[low:high])
            for low, high, cache in self.spans()
        ]
        self.offset = self.offset + keys.shape[2]
        return [each[0] for each in fetched], [each[1] for each in fetched]

    def make_mask(self, *args: Any, **kwargs: Any) -> list[Any]:
        return [cache.make_mask(*args, **kwargs) for _, cache in self.parts]

    def spans(self) -> list[tuple[int, int, Any]]:
        found, low = [], 0
        for size, cache in self.parts:
            found.append((low, low + size, cache))
            low += size
        return found


def attend(
    one: Callable[..., Any],
    queries: Any,
    keys: Any,
    values: Any,
    cache: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """What models call instead of mlx-lm's own; `one` is that or as good."""
    if not isinstance(cache, Ragged):
        return one(queries, keys, values, cache, *args, **kwargs)
    masks = kwargs.pop("mask")
    found: list[Any] = [
        one(queries[low:high], own_keys, own_values, part, *args, mask=mask, **kwargs)
        for (low, high, part), own_keys, own_values, mask in zip(
            cache.spans(), keys, values, masks, strict=True
        )
    ]
    return mx.concatenate(found)


def teach(model: Any, caches: tuple[Caches, Caches], *, is_cuda: bool = False) -> bool:
    """Whether the model answers two rows of different lengths, in parts, as it does padded.

    Both caches are empty and for one row; they are used up.
    """
    if not all(type(cache) is KVCache for each in caches for cache in each):
        return False
    install = partial(_install, model)
    install(base.scaled_dot_product_attention)
    short, long = caches
    model(mx.array([[1, 2, 3]]), cache=short)
    model(mx.array([list(range(40))]), cache=long)
    padded, again = ([a.merge([a, b]) for a, b in zip(short, long, strict=True)] for _ in range(2))
    parts = [Ragged(((1, a), (1, b))) for a, b in zip(short, long, strict=True)]
    windows = _windows(padded)
    wanted = _said(model, padded)
    if is_cuda and not any(windows):
        install(padded_attention.attend)
        if not _says(model, again, wanted):
            install(base.scaled_dot_product_attention)
    return _says(model, parts, wanted)


def _install(model: Any, one: Callable[..., Any]) -> None:
    for name in {type(layer).__module__ for layer in model.modules()}:
        if name.startswith(_PACKAGE) and hasattr(sys.modules[name], _NAME):
            setattr(sys.modules[name], _NAME, partial(attend, one))


def _windows(caches: Caches) -> list[int | None]:
    """Filled when a model asks for its masks: how far back each lets it look."""
    asked: list[int | None] = []

    def noted(make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs.get("window_size"))
        return make(*args, **kwargs)

    for cache in caches:
        cache.make_mask = partial(noted, cache.make_mask)
    return asked


def _said(model: Any, caches: Any) -> Any:
    found: Any = model(mx.array([[1], [2]]), cache=caches).astype(mx.float32)
    mx.eval(found)
    return found


def _says(model: Any, caches: Any, wanted: Any) -> bool:
    try:
        got = _said(model, caches)
    except Exception:  # noqa: BLE001 -- a model that does anything else with its keys and values
        return False
    return bool((mx.abs(got - wanted).max() <= _CLOSE * mx.abs(wanted).max()).item())


def _offsets(size: int, cache: Any) -> Any:
    """A lone row's own cache counts in a plain number."""
    offset = cache.offset
    return mx.array([offset] * size) if isinstance(offset, int) else offset
