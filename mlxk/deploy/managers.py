"""Which service manager is here, and what we have installed in it."""

import sys
from collections.abc import Mapping
from pathlib import Path

from mlxk.contract.errors import InvalidValue
from mlxk.deploy.launchd import Launchd
from mlxk.deploy.services import ServiceManager
from mlxk.deploy.systemd import Systemd


def manager(name: str | None, env: Mapping[str, str]) -> ServiceManager:
    """The named one, else this system's own."""
    wanted = name or ("launchd" if sys.platform == "darwin" else "systemd")
    home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    match wanted:
        case "launchd":
            return Launchd(home)
        case "systemd":
            config = Path(env["XDG_CONFIG_HOME"]) if env.get("XDG_CONFIG_HOME") else None
            return Systemd(config or home / ".config")
    raise InvalidValue(f"no service manager is called {name!r}", hint="launchd or systemd")


def installed(env: Mapping[str, str]) -> dict[str, Path]:
    """The units that lie where this system's manager reads them."""
    own = manager(None, env)
    folder = own.path("x").parent
    prefix, suffix = own.path("\0").name.split("\0")
    found = folder.glob(f"{prefix}*{suffix}") if folder.is_dir() else ()
    return {p.name.removeprefix(prefix).removesuffix(suffix): p for p in found}
