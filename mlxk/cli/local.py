"""From what people type to an engine that is not yet started. Shared by run and serve."""

import os
from typing import TYPE_CHECKING

from mlxk.contract.errors import ModelUnhealthy
from mlxk.contract.notes import note

if TYPE_CHECKING:
    from mlxk.engine.model import EngineModel
    from mlxk.engine.options import EngineOptions

DEFAULT_MODEL = "builtin:tiny"


def named(model: str | None) -> str:
    """The model to use when none was typed."""
    if model or os.environ.get("MLXK_MODEL"):
        return model or os.environ["MLXK_MODEL"]
    note("demo_model", f"{DEFAULT_MODEL} is a demo model; name a real one")
    return DEFAULT_MODEL


def engine(spec: str, options: "EngineOptions | None" = None) -> "EngineModel":
    """Resolve and judge: what cannot be loaded is refused before any process starts."""
    from mlxk.engine.model import EngineModel
    from mlxk.hub import health, names
    from mlxk.system import paths

    found = names.resolve(spec)
    verdict = health.judge(found.folder)
    if not verdict.healthy:
        hint = f"mlxk pull {found.name} --force" if found.source == "cache" else None
        raise ModelUnhealthy(f"{found.name}: {verdict.reason}", hint=hint, model=found.name)
    return EngineModel(found.folder, found.name, options=options, home=paths.home())
