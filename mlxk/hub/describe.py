"""Read a model's folder and say all of it: the model object, its facts, its health."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mlxk.hub import reading
from mlxk.hub.contents import Contents
from mlxk.hub.health import examine, verdict
from mlxk.hub.inspect import Facts, facts, runs_on_mlx_lm
from mlxk.hub.model import Model, Place, Verdict
from mlxk.hub.reading import Reading
from mlxk.system.clock import stamp


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found out about one model."""

    model: Model
    reading: Reading
    facts: Facts
    verdict: Verdict


def describe(place: Place, contents: Contents | None = None, *, thorough: bool = False) -> Report:
    """`contents` when they were looked at already.

    `thorough` reads large files whole; a listing looks at their ends.
    """
    found = reading.read(place.folder, contents, thorough=thorough)
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
