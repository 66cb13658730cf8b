"""What a sequence's caches hold, as bytes: a part of each plain layer, the state of the others."""

import math
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


@dataclass(frozen=True, slots=True)
class Copied:
    """A snapshot in the device's memory: `parts` are bytes with the types and shapes they have."""

    tree: Any
    parts: tuple[tuple[Any, Any, list[int]], ...]


def copied(body: bytes) -> Copied:
    """Called on another thread: bytes are moved, which takes its time, and nothing is computed."""
    (length,) = _LENGTH.unpack_from(body)
    start = _LENGTH.size + length
    tree, names = orjson.loads(body[_LENGTH.size : start])
    parts = []
    for name, shape in names:
        dtype = getattr(mx, name)
        count = dtype.size * math.prod(shape)
        view: Any = memoryview(body)[start : start + count]
        parts.append((mx.array(view) if count else None, dtype, shape))
        start += count
    return Copied(tree, tuple(parts))


def restore(empty: Caches, chain: Sequence[Copied], length: int) -> Caches:
    """Caches that hold `length` tokens, from a chain of snapshots."""
    trees = [_grown(each.tree, [_array(*part) for part in each.parts]) for each in chain]
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


def _array(flat: Any, dtype: Any, shape: list[int]) -> Any:
    return mx.zeros(shape, dtype) if flat is None else flat.view(dtype).reshape(shape)


def _grown(tree: Any, arrays: list[Any]) -> Any:
    match tree:
        case {"array": index}:
            return arrays[index]
        case list():
            return [_grown(item, arrays) for item in tree]
        case _:
            return tree
