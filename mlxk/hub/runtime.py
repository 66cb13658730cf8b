"""Which architectures the installed mlx-lm has, found by looking at its files. Never imports it."""

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_TABLES = re.compile(
    r"^(MODEL_REMAPPING|MODEL_ARCHITECTURE_REMAPPING) = (\{.*?^\})", re.MULTILINE | re.DOTALL
)


@cache
def package() -> Path | None:
    """The folder of mlx_lm, if it is installed."""
    spec = find_spec("mlx_lm")
    return Path(spec.origin).parent if spec and spec.origin else None


def module(model_type: str, architectures: tuple[str, ...] = ()) -> str:
    """The name of mlx-lm's module for this model type, by mlx-lm's own rules."""
    by_type, by_architecture = _remappings()
    for architecture in architectures:
        if found := by_architecture.get((model_type, architecture)):
            return found
    return by_type.get(model_type, model_type)


def supports(model_type: str, architectures: tuple[str, ...] = ()) -> bool:
    return module(model_type, architectures) in _modules()


@cache
def _modules() -> frozenset[str]:
    """Those that define a model: `base`, `cache` and other shared parts do not."""
    folder = package()
    if folder is None:
        return frozenset()
    shared = {"__init__", "base", "cache", "activations", "bitlinear_layers", "gated_delta"}
    shared |= {"mla", "pipeline", "rope_utils", "ssm", "switch_layers"}
    return frozenset(p.stem for p in (folder / "models").glob("*.py")) - shared


@cache
def _remappings() -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    folder = package()
    if folder is None or not (source := folder / "utils.py").is_file():
        return {}, {}
    tables = {m[1]: ast.literal_eval(m[2]) for m in _TABLES.finditer(source.read_text("utf-8"))}
    return tables.get("MODEL_REMAPPING", {}), tables.get("MODEL_ARCHITECTURE_REMAPPING", {})
