"""The model object that every command prints, where a model is, and what was judged of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlxk.hub.cache import Snapshot

Framework = Literal["MLX", "GGUF", "PyTorch", "Unknown"]
Kind = Literal["chat", "base", "embedding", "unknown"]
Source = Literal["cache", "workspace", "builtin"]


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    hash: str | None
    size_bytes: int
    last_modified: str | None
    framework: Framework
    model_type: Kind
    capabilities: tuple[str, ...]
    health: Literal["healthy", "unhealthy"]
    runtime_compatible: bool
    reason: str | None
    cached: bool
    source: Source
    origin: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """A model's name and where its files are; `problem` is what the cache itself lacks."""

    name: str
    hash: str | None
    folder: Path
    source: Source
    origin: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is the first problem; every problem names its file."""

    healthy: bool
    reason: str | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def place(snapshot: Snapshot) -> Place:
    return Place(
        snapshot.repo.name, snapshot.hash, snapshot.folder, "cache", problem=snapshot.problem
    )
