"""What a deployment's model weighs: from its files, by the one estimate. Starts nothing."""

from dataclasses import dataclass
from pathlib import Path

from mlxk.advise import catalog
from mlxk.advise.memory import Cache, Estimate, estimate
from mlxk.contract.errors import AmbiguousMatch, ModelNotFound, NotFound, RevisionNotFound
from mlxk.contract.validate import Problem
from mlxk.deploy import settings
from mlxk.deploy.document import Deployment, KvCache
from mlxk.hub import inspect, names, reading
from mlxk.hub.inspect import Metadata
from mlxk.hub.names import Resolved
from mlxk.system.paths import named

_DEFAULT_TOKENS = 32768


@dataclass(frozen=True, slots=True)
class Found:
    """The model of a deployment on this machine."""

    name: str
    folder: Path
    weight_bytes: int
    metadata: Metadata


def reference(deployment: Deployment, home: Path) -> str:
    """What the model is called by the other commands: a repository, a folder, a builtin."""
    shelf = _shelf(home)
    if deployment.is_path:
        path = named(deployment.model)
        here = home / path
        return str(shelf / path if shelf and not here.exists() else here)
    if shelf and (shelf / deployment.model / "config.json").is_file():
        return str(shelf / deployment.model)
    if "/" in deployment.model or deployment.model.startswith("builtin:"):
        return deployment.model
    try:
        entry = catalog.load().find(deployment.model)
    except NotFound:
        return deployment.model
    quant = deployment.quant or "int4"
    source = entry.sources.get(quant) or next(iter(entry.sources.values()))
    return source.hf_repo


def _shelf(home: Path) -> Path | None:
    """The folder of the setting model-dir: its models come before those of the cache."""
    folder = settings.load(home).get("model-dir")
    return named(str(folder)) if folder else None


def find(deployment: Deployment, home: Path) -> Found | None:
    """None when the model is not on this machine."""
    wanted = reference(deployment, home)
    try:
        place = names.resolve(wanted)
    except (ModelNotFound, RevisionNotFound, AmbiguousMatch):
        return None
    # A deployment says what it means: a part of a name is not enough to serve a model by.
    exact = Path(wanted).is_absolute() or place.name.lower() == wanted.partition("@")[0].lower()
    if not (exact or place.name.rpartition("/")[2].lower() == wanted.partition("@")[0].lower()):
        return None
    return measured(place)


def measured(place: Resolved) -> Found:
    """What lies in a model's folder, without reading its weights."""
    read = reading.read(place.folder, thorough=False)
    size = sum(f.size for f in read.contents.files if f.name.endswith((".safetensors", ".npz")))
    return Found(place.name, place.folder, size, inspect.metadata(read))


def weigh(deployment: Deployment, found: Found | None) -> Estimate | None:
    """The document's own figure, else weights and cache; None when nothing is known."""
    if deployment.memory_gb is not None:
        return Estimate(0.0, 0.0, deployment.memory_gb)
    if found is None:
        return None
    kv = deployment.kv_cache or KvCache()
    cache = cache_of(found.metadata, deployment.context, kv.bits, kv.group_size)
    return estimate(found.weight_bytes + _draft_bytes(deployment.server.draft), cache)


def _draft_bytes(draft: str | None) -> int:
    """A model that is not here yet weighs nothing: that it is missing is said when it is served."""
    if draft in (None, "auto", "lookup", "off"):
        return 0
    try:
        return measured(names.resolve(draft or "")).weight_bytes
    except (ModelNotFound, RevisionNotFound, AmbiguousMatch):
        return 0


def problems(deployment: Deployment, found: Found) -> tuple[Problem, ...]:
    """What the document asks of this model that it cannot do."""
    cache, dimension = deployment.kv_cache, found.metadata.head_dim
    if cache and cache.bits and dimension and dimension % cache.group_size:
        message = f"{cache.group_size} does not divide the model's head dimension {dimension}"
        return (Problem("/kv_cache/group_size", message),)
    return ()


def total_gb(parts: list[Estimate | None]) -> float:
    return round(sum(part.total_gb for part in parts if part), 3)


def cache_of(
    about: Metadata, context: int | None, bits: int | None = None, group_size: int = 64
) -> Cache | None:
    """A conversation of `context` tokens, or of the model's longest; None: shape not known."""
    if not (about.num_layers and about.num_key_value_heads and about.head_dim):
        return None
    longest = about.context_length or _DEFAULT_TOKENS
    return Cache(
        layers=about.num_layers,
        kv_heads=about.num_key_value_heads,
        head_dim=about.head_dim,
        tokens=min(context or longest, longest),
        bits=bits,
        group_size=group_size,
    )
