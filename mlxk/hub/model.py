"""The model object that every command prints, made from a folder."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from mlxk.hub import reading
from mlxk.hub.cache import Snapshot
from mlxk.hub.health import Verdict, examine, verdict
from mlxk.hub.inspect import Facts, Framework, Kind, facts, runs_on_mlx_lm
from mlxk.hub.reading import Reading
from mlxk.system.clock import stamp

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
class Report:
    """Everything that was found out about one model."""

    model: Model
    reading: Reading
    facts: Facts
    verdict: Verdict


def place(snapshot: Snapshot) -> Place:
    return Place(
        snapshot.repo.name, snapshot.hash, snapshot.folder, "cache", problem=snapshot.problem
    )


def describe(place: Place, *, thorough: bool = False) -> Report:
    """`thorough` reads large files whole; a listing looks at their ends."""
    found = reading.read(place.folder, thorough=thorough)
    about = facts(found, place.name)
    judged = verdict((place.problem,)) if place.problem else examine(found, about)
    obstacle = _obstacle(found, about)
    model = Model(
        name=place.name,
        hash=place.hash,
        size_bytes=found.contents.size,
        last_modified=_last_modified(found),
        framework=about.framework,
        model_type=about.kind,
        capabilities=about.capabilities,
        health="healthy" if judged.healthy else "unhealthy",
        runtime_compatible=obstacle is None,
        reason=judged.reason or obstacle,
        cached=place.source == "cache",
        source=place.source,
        origin=place.origin,
    )
    return Report(model, found, about, judged)


def _obstacle(found: Reading, about: Facts) -> str | None:
    """Why mlx-lm has no code for this model, if it has none."""
    if about.framework != "MLX":
        return f"framework is {about.framework}, mlx-lm does not load it"
    if "model_file" in found.config:
        return "config.json: model_file asks to run code from the model"
    if not runs_on_mlx_lm(found.config):
        return f"config.json: mlx-lm has no architecture {about.architecture or 'for it'}"
    return None


def _last_modified(found: Reading) -> str | None:
    when = found.contents.modified
    return None if not when else stamp(datetime.fromtimestamp(when, UTC))
