"""How an engine is run: limits and places, chosen once at its start. Knows no model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlxk.engine.ranks import Ranks

Phase = Literal["starting", "loading", "ready", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """`context` caps the model's own length (tokens); `queue` is how many may wait beyond `rows`.

    `prefix_cache_*` are the disk, `prefix_memory_bytes` what ended sequences may hold in memory.
    `kv_bytes` is the memory that sequences may hold together; None: most of what the weights
    leave free. `step_tokens` is the largest prompt chunk between two decode steps. `ranks`: the
    model is divided among several processes. `draft`: how the next tokens of an answer that is
    made alone are guessed, by what was said before or by the smaller model in this folder; `auto`
    is `lookup`, but not on CUDA.
    """

    context: int | None = None
    rows: int = 64
    queue: int = 256
    kv_bytes: int | None = None
    kv_bits: int | None = None
    step_tokens: int = 512
    prefix_cache_folder: Path | None = None
    prefix_cache_bytes: int = 16 << 30
    prefix_memory_bytes: int = 4 << 30
    start_timeout_s: float = 600.0
    silence_s: float = 15.0
    hang_s: float = 600.0
    ranks: Ranks | None = None
    draft: Path | Literal["auto", "lookup", "off"] = "auto"


@dataclass(frozen=True, slots=True)
class EngineStats:
    """For `/health`: sequences decoding or prefilling, requests waiting, restarts after a death.

    `peak_memory_bytes` is of MLX, weights included; None before the process has said.
    `kv_bytes` is what the sequences' caches hold, a second ago at most. `drafted_tokens` were
    guessed so far, of which `accepted_tokens` held.
    """

    phase: Phase
    active_sequences: int
    queued: int
    restarts: int
    silent_s: float
    prefix_cache_files: int = 0
    peak_memory_bytes: int | None = None
    kv_bytes: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """`load_s`: from the start of the process to the first token being possible; None before."""

    load_s: float | None = None
