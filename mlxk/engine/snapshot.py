"""What a sequence's caches hold, as bytes: a part of each plain layer, the state of the others."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import orjson
from mlx_lm.models.cache import KVCache, QuantizedKVCache

from mlxk.engine.caches import Caches

_LENGTH = struct.Struct("<I")
Buffer = bytes | memoryview

# Types without a buffer of their own travel as integers of the same width.
_CARRIERS = {1: mx.uint8, 2: mx.uint16, 4: mx.uint32, 8: mx.uint64}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A tree of JSON values in which `{"array": n}` stands for the n-th array."""

    tree: Any
    arrays: tuple[Any, ...]

    @property
    def size_bytes(self) -> int:
        return sum(array.nbytes for array in self.arrays)

    def buffers(self) -> list[Buffer]:
        """Called on another thread: the arrays are computed, and only looked at."""
        names = [[str(a.dtype).removeprefix("mlx.core."), list(a.shape)] for a in self.arrays]
        head = orjson.dumps([self.tree, names])
        return [_LENGTH.pack(len(head)), head, *(_raw(a) for a in self.arrays)]


def is_plain(cache: Any) -> bool:
    """Whether a layer's tokens stand side by side, so that any part can be kept by itself."""
    return type(cache) in (KVCache, QuantizedKVCache)


def take(held: Caches, start: int, end: int, *, with_state: bool) -> Snapshot:
    """Tokens [start, end) of the plain layers, and what the others are at `end` if asked for."""
    arrays: list[Any] = []
    tree = []
    for cache in held:
        if is_plain(cache):
            part = [_part(cache.keys, start, end), _part(cache.values, start, end)]
            tree.append(_planted(part, arrays))
        else:
            tree.append(_planted(cache.state, arrays) if with_state else None)
    return Snapshot(tree, tuple(arrays))


def restore(empty: Caches, bodies: Sequence[bytes], length: int) -> Caches:
    """Caches that hold `length` tokens, from the bodies of a chain of snapshots."""
    trees = [_parsed(body) for body in bodies]
    for layer, cache in enumerate(empty):
        if is_plain(cache):
            parts = [tree[layer] for tree in trees]
            cache.keys, cache.values = (_joined([part[i] for part in parts]) for i in (0, 1))
            cache.offset = length
        else:
            cache.state = trees[-1][layer]
    return empty


def _part(array: Any, start: int, end: int) -> Any:
    if isinstance(array, (tuple, list)):
        return [_part(part, start, end) for part in array]
    # A copy that is side by side in memory, so that its bytes can be read as they are.
    return mx.contiguous(array[..., start:end, :])


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], list):
        return tuple(_joined(list(group)) for group in zip(*parts, strict=True))
    return mx.concatenate(parts, axis=-2) if len(parts) > 1 else parts[0]


def _planted(value: Any, arrays: list[Any]) -> Any:
    if isinstance(value, mx.array):
        arrays.append(mx.contiguous(value))
        return {"array": len(arrays) - 1}
    if isinstance(value, (tuple, list)):
        return [_planted(item, arrays) for item in value]
    return value


def _raw(array: Any) -> memoryview:
    return memoryview(array.view(_CARRIERS[array.dtype.size])) if array.size else memoryview(b"")


def _parsed(body: bytes) -> Any:
    (length,) = _LENGTH.unpack_from(body)
    start = _LENGTH.size + length
    tree, names = orjson.loads(body[_LENGTH.size : start])
    arrays = []
    for name, shape in names:
        dtype = getattr(mx, name)
        count = dtype.size
        for side in shape:
            count *= side
        arrays.append(_array(body[start : start + count], dtype, shape))
        start += count
    return _grown(tree, arrays)


def _array(data: bytes, dtype: Any, shape: list[int]) -> Any:
    view: Any = memoryview(data)
    flat: Any = mx.array(view) if data else mx.zeros((0,), mx.uint8)
    return flat.view(dtype).reshape(shape)


def _grown(tree: Any, arrays: list[Any]) -> Any:
    match tree:
        case {"array": index}:
            return arrays[index]
        case list():
            return [_grown(item, arrays) for item in tree]
        case _:
            return tree
