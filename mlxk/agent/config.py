"""An agent described in a file: JSON or YAML, checked by its schema. Flags override it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlxk.agent.limits import Budgets
from mlxk.agent.permissions import permissions
from mlxk.agent.settings import tool_names
from mlxk.agent.tools.base import Limits
from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument, NotFound
from mlxk.contract.validate import require

_SUFFIXES = (".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Config:
    """`given` overrides the settings' defaults; the rest bounds a run."""

    given: Mapping[str, Any] = field(default_factory=dict)
    budgets: Budgets = field(default_factory=Budgets)
    limits: Limits = field(default_factory=Limits)
    check: str | None = None


def load(name: str, folders: tuple[Path, ...]) -> Config:
    """A path, or a name to look for in `folders`. NotFound, InvalidDocument with a pointer."""
    path = _find(name, folders)
    value = _parse(path)
    require("documents/agent", value, str(path))
    plain = {k: v for k, v in value.items() if k not in ("permissions", "limits", "check", "tools")}
    if "tools" in value:
        plain["tools"] = tool_names(",".join(value["tools"]))
    if "permissions" in value:
        plain["permissions"] = permissions(value["permissions"])
    limits = dict(value.get("limits", {}))
    timeout = limits.pop("tool_seconds", None)
    return Config(
        plain,
        Budgets(**limits),
        Limits(timeout_s=timeout) if timeout else Limits(),
        value.get("check"),
    )


def _find(name: str, folders: tuple[Path, ...]) -> Path:
    named = Path(name)
    if named.is_file():
        return named
    for folder in folders if os.sep not in name else ():
        for suffix in _SUFFIXES:
            if (path := folder / f"{name}{suffix}").is_file():
                return path
    places = ", ".join(map(str, folders))
    raise NotFound(f"no agent configuration {name!r}", hint=f"a file, or a name in {places}")


def _parse(path: Path) -> Any:
    try:
        data = path.read_bytes()
    except OSError as e:
        raise NotFound(f"cannot read {path}: {e.strerror}") from e
    if path.suffix == ".json":
        return encoding.loads(data, str(path))
    import yaml

    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as e:
        raise InvalidDocument(f"{path} is not YAML: {' '.join(str(e).split())}") from e
