"""From what people type to an engine that is not yet started."""

import shlex
from pathlib import Path
from typing import Literal

from mlxk.chat.types import Request
from mlxk.contract.errors import ModelUnhealthy
from mlxk.engine.model import EngineModel
from mlxk.engine.options import EngineOptions
from mlxk.engine.prompt import Prompter
from mlxk.engine.tokenizer import load_text
from mlxk.hub import health, names, workspace
from mlxk.system import paths
from mlxk.system.files import require_utf8


def engine(spec: str, options: EngineOptions | None = None) -> EngineModel:
    """Resolve and judge: what cannot be loaded is refused before any process starts."""
    found = _sound(spec)
    return EngineModel(found.folder, found.name, options=options, home=paths.home())


def draft(typed: str) -> Path | Literal["auto", "lookup", "off"]:
    """A way to guess, or the folder of a model that is sound."""
    match typed:
        case "auto" | "lookup" | "off":
            return typed
        case _:
            return _sound(typed).folder


def count_tokens(spec: str, request: Request) -> int:
    """Of a request's prompt, tools included, without any process."""
    return len(Prompter(load_text(_sound(spec).folder)).prompt(request).ids)


def _sound(spec: str) -> names.Resolved:
    found = names.resolve(spec)
    require_utf8(found.folder)
    verdict = health.judge(found.folder)
    if not verdict.healthy:
        if found.source == "cache":
            hint = f"mlxk pull {found.name} --force"
        elif origin := workspace.origin(found.folder):
            hint = f"mlxk clone {origin} NEW-FOLDER makes a whole copy"
        else:
            hint = f"mlxk health {shlex.quote(str(found.folder))} names all that is wrong"
        raise ModelUnhealthy(f"{found.name}: {verdict.reason}", hint=hint, model=found.name)
    return found
