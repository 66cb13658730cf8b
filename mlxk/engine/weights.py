"""From a folder to a runner: the model through mlx-lm, never from the network, never its code."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
from mlx_lm.utils import load_model

from mlxk.engine import caches
from mlxk.engine.archive import Archive, fingerprint
from mlxk.engine.batch import BatchRunner, Limits
from mlxk.engine.draft_model import DraftModel
from mlxk.engine.drafting import Drafter
from mlxk.engine.group import Forward
from mlxk.engine.lookup import Lookup
from mlxk.engine.matcher import Grammars
from mlxk.engine.protocol import Load
from mlxk.engine.ragged import teach
from mlxk.engine.segments import Segments
from mlxk.engine.shard import ALONE, Shard
from mlxk.system.hardware import memory_total_bytes

_UNKNOWN_MEMORY = 8 << 30
_LEAST_KV = 64 << 20
_SHARE = 0.8
_LEAST_CHUNK = 32
_CUDA_CHUNKS = 4
# Bytes of padding that are read in about the time of one more attention in every layer.
_PADDING = {"cpu": 1 << 20, "metal": 256 << 20, "cuda": 4 << 30}
_DRAFT_SHARE = 0.05
_CACHED = 6  # a part of the memory may lie in freed buffers
_WAITING = 4  # a part of what is kept may be on its way to the disk, once more


@dataclass(frozen=True, slots=True)
class Loaded:
    """The runner and its grammars, the width of its logits, and the bytes a token costs."""

    runner: BatchRunner
    grammars: Grammars
    vocabulary: int
    token_bytes: int


def load_runner(load: Load, shard: Shard = ALONE) -> Loaded:
    folder = Path(load.folder)
    model, _ = load_model(folder, lazy=not shard.is_alone, trust_remote_code=False)
    shard.divide(model)
    make = caches.maker(model)
    shape, vocabulary = _measured(model, plain := make())
    if load.kv_bits:
        make = caches.maker(model, load.kv_bits, caches.group_size(plain))
        shape, vocabulary = _measured(model, make())
    if _is_cuda():
        mx.set_cache_limit(_memory() // _CACHED)
    least, most = _LEAST_CHUNK, load.step_tokens
    if _is_cuda():
        least, most = load.step_tokens, load.step_tokens * _CUDA_CHUNKS
    drafter, drafting = _drafter(load, make, shard, vocabulary)
    running, kept = shard.least(*_budgets(load, drafting))
    limits = Limits(load.rows, most, running, kept, least, _is_cuda())
    grammars = Grammars(folder, vocabulary)
    archive = _archive(load, make, kept // _WAITING, shard)
    slack = _slack(model, make, shape.token_bytes, shard)
    runner = BatchRunner(model, make, shape, limits, grammars, archive, shard, slack, drafter)
    return Loaded(runner, grammars, vocabulary, shape.token_bytes)


def _drafter(
    load: Load, make: Callable[[], caches.Caches], shard: Shard, vocabulary: int
) -> tuple[Drafter | None, int]:
    """And the bytes that its caches may take. Of a model's caches, what does not hold of a draft is
    cut off again: only plain ones bear that. CUDA plans for 50 to 100 ms for each new length."""
    is_able = shard.is_alone and caches.is_sliceable(make())
    if load.draft in (None, "lookup", "auto"):
        is_wanted = load.draft == "lookup" or (load.draft == "auto" and not _is_cuda())
        return (Lookup() if is_wanted and is_able else None), 0
    if not is_able:
        raise ValueError("--draft with a model is not supported for this model, or on ranks")
    model, _ = load_model(Path(load.draft or ""), trust_remote_code=False)
    make = caches.maker(model)
    if not caches.is_sliceable(held := make()):
        raise ValueError("--draft is not supported with a model of windows or states")
    shape, _ = _measured(model, held)
    longest = int(_memory() * _DRAFT_SHARE) // shape.token_bytes
    longest = min(longest, getattr(model.args, "max_position_embeddings", None) or longest)
    forward = Forward(model, has_few_shapes=_is_cuda())
    return DraftModel(forward, make(), vocabulary, longest), shape.bytes(longest)


def _slack(
    model: Any, make: Callable[[], caches.Caches], token_bytes: int, shard: Shard
) -> int | None:
    """Padding up to here costs less than attending once more; None when a model cannot."""
    (is_able,) = shard.numbers([teach(model, (make(), make()), is_cuda=_is_cuda())])
    if not is_able:
        return None
    return _PADDING[_device()] // max(token_bytes, 1)


def _device() -> str:
    if _is_cuda():
        return "cuda"
    return "cpu" if mx.default_device().type == mx.DeviceType.cpu else "metal"


def _is_cuda() -> bool:
    """There, 64 tokens of a prompt take as long as 512, and freed buffers of every size pile up."""
    return mx.default_device().type == mx.DeviceType.gpu and not mx.metal.is_available()


def _archive(
    load: Load, make: Callable[[], caches.Caches], waiting_bytes: int, shard: Shard
) -> Archive | None:
    """Another rank, or another division of the model, never meets these files."""
    if load.archive is None:
        return None
    kinds = [type(cache).__name__ for cache in make()]
    part = () if shard.is_alone else ((shard.rank, shard.ranks),)
    mark = fingerprint(Path(load.folder), mlx_lm.__version__, load.kv_bits, kinds, *part)
    folder = Path(load.archive) / mark[:16].hex()
    return Archive(Segments(folder, mark, load.archive_bytes), make, waiting_bytes, shard)


def _measured(model: Any, held: caches.Caches) -> tuple[caches.Geometry, int]:
    """One forward pass says what configurations say in a hundred ways, and warms the device."""
    logits = model(mx.array([[0, 0]]), cache=held)
    mx.eval(logits, [cache.state for cache in held])
    return caches.geometry(held), int(logits.shape[-1])


def _budgets(load: Load, drafting: int) -> tuple[int, int]:
    """Bytes for running sequences, and for kept ones: most of what weights and drafts leave."""
    free = max(int((_memory() - mx.get_active_memory() - drafting) * _SHARE), _LEAST_KV)
    running = min(load.kv_bytes, free) if load.kv_bytes else free * 3 // 4
    return running, min(load.kept_bytes, max(free - running, free // 4))


def _memory() -> int:
    info = mx.device_info()
    for name in ("max_recommended_working_set_size", "total_memory", "memory_size"):
        if isinstance(size := info.get(name), int):
            return size
    return memory_total_bytes() or _UNKNOWN_MEMORY
