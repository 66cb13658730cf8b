"""An agent described in a file: JSON or YAML, checked by its schema. Flags override it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlxk.agent.limits import Budgets
from mlxk.agent.permissions import permissions
from mlxk.agent.settings import Helper, McpServer, tool_names
from mlxk.agent.tools.base import Limits
from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument, NotFound
from mlxk.contract.validate import require

_SUFFIXES = (".json", ".yaml", ".yml")
_SETTINGS = ("model", "api", "url", "system", "temperature", "seed", "network")


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
    data = _read(path)
    value = _parse(path, data)
    require("documents/agent", value, str(path))
    limits = dict(value.get("limits", {}))
    timeout = limits.pop("tool_seconds", None)
    given = {
        **_settings(value, path.absolute().parent),
        "config": sha256(data).hexdigest(),
    }
    bounds = Limits(timeout_s=timeout) if timeout else Limits()
    return Config(given, Budgets(**limits), bounds, value.get("check"))


def _settings(value: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Only what the file names. Folders in it are relative to its own."""
    given = {name: value[name] for name in _SETTINGS if name in value}
    made: dict[str, Callable[[Any], Any]] = {
        "tools": tool_names,
        "carry": tuple,
        "permissions": permissions,
        "skills": lambda names: tuple(str(folder / name) for name in names),
        "agents": lambda named: tuple(_helper(name, item) for name, item in named.items()),
        "mcp": lambda named: tuple(_server(name, item) for name, item in named.items()),
        "lsp": lambda named: {suffix: tuple(argv) for suffix, argv in named.items()},
    }
    named = {"agents": "helpers"}
    return given | {named.get(k, k): make(value[k]) for k, make in made.items() if k in value}


def _helper(name: str, value: dict[str, Any]) -> Helper:
    tools = tool_names(value["tools"]) if "tools" in value else None
    return Helper(
        name, value.get("description", ""), value.get("system"), tools, value.get("turns")
    )


def _server(name: str, value: dict[str, Any]) -> McpServer:
    return McpServer(
        name,
        command=tuple(value.get("command", ())),
        env=tuple(value.get("env", ())),
        url=value.get("url"),
        key_env=value.get("key_env"),
        tools=tuple(value["tools"]) if "tools" in value else None,
        timeout_s=value.get("timeout"),
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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise NotFound(f"cannot read {path}: {e.strerror}") from e


def _parse(path: Path, data: bytes) -> Any:
    if path.suffix == ".json":
        return encoding.loads(data, str(path))
    import yaml

    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as e:
        raise InvalidDocument(f"{path} is not YAML: {' '.join(str(e).split())}") from e
