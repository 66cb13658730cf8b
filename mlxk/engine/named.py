"""From what people type to an engine that is not yet started."""

from mlxk.contract.errors import ModelUnhealthy
from mlxk.engine.model import EngineModel
from mlxk.engine.options import EngineOptions
from mlxk.hub import health, names
from mlxk.system import paths


def engine(spec: str, options: EngineOptions | None = None) -> EngineModel:
    """Resolve and judge: what cannot be loaded is refused before any process starts."""
    found = names.resolve(spec)
    verdict = health.judge(found.folder)
    if not verdict.healthy:
        hint = f"mlxk pull {found.name} --force" if found.source == "cache" else None
        raise ModelUnhealthy(f"{found.name}: {verdict.reason}", hint=hint, model=found.name)
    return EngineModel(found.folder, found.name, options=options, home=paths.home())
