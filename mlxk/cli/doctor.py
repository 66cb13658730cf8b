"""`mlxk doctor`: is this installation able to do its work? One row per check."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from mlxk.cli.registry import command
from mlxk.contract.errors import CheckFailed
from mlxk.system import hardware, paths

Level = Literal["ok", "warning", "failed"]
_ROOM = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    status: Level
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    healthy: bool
    checks: tuple[Check, ...]


def _text(report: Report, _: dict[str, Any]) -> str:
    rows = (f"{c.status:8} {c.name:16} {c.message}" for c in report.checks)
    hints = (f"         {c.name}: {c.hint}" for c in report.checks if c.hint)
    return "\n".join([*rows, *hints])


@command("doctor", _text)
def doctor() -> Report:
    """Check the installation: backend, cache, token, disk, git identity, confinement.

    mlxk doctor

    mlxk doctor --json | jq -r '.data.checks[] | select(.status != "ok") | .hint'
    """
    checks = tuple(check() for check in _CHECKS)
    failed = [c.name for c in checks if c.status == "failed"]
    report = Report(not failed, checks)
    if failed:
        message = f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}"
        hint = next(c.hint for c in checks if c.status == "failed")
        raise CheckFailed(message, hint=hint, data=report, exit_code=1)
    return report


def _backend() -> Check:
    found = hardware.backend()
    if found is None:
        return Check("backend", "failed", "MLX is not installed", hardware.install_hint())
    return Check("backend", "ok", f"MLX runs on {found}")


def _mlx_lm() -> Check:
    if find_spec("mlx_lm") is None:
        return Check("mlx-lm", "failed", "mlx-lm is not installed", "pip install mlxk")
    return Check("mlx-lm", "ok", "installed")


def _cache() -> Check:
    folder = paths.hub_cache()
    if not folder.exists():
        return Check("cache", "ok", f"{folder} will be made by the first pull")
    if not os.access(folder, os.R_OK | os.X_OK):
        return Check("cache", "failed", f"{folder} cannot be read", f"ls -ld {folder}")
    if not os.access(folder, os.W_OK):
        return Check("cache", "warning", f"{folder} is read-only", "mlxk pull will fail there")
    return Check("cache", "ok", str(folder))


def _home() -> Check:
    folder = paths.home()
    known = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(known, os.W_OK | os.X_OK):
        hint = "set MLXK_HOME to a folder you own"
        return Check("home", "failed", f"{folder} cannot be written", hint)
    return Check("home", "ok", str(folder))


def _token() -> Check:
    known = os.environ.get("HF_TOKEN") or (paths.hf_home() / "token").is_file()
    if known:
        return Check("hub-token", "ok", "a token is set")
    return Check(
        "hub-token", "warning", "no token: gated models and push need one", "hf auth login"
    )


def _disk() -> Check:
    folder = paths.hub_cache()
    known = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(known).free
    text = f"{free / 1e9:.1f} GB free for models"
    if free < _ROOM:
        return Check("disk", "warning", text, "mlxk list --all shows what takes room")
    return Check("disk", "ok", text)


def _identity() -> Check:
    from mlxk.history.identity import user_identity

    if (who := user_identity()) is None:
        hint = "git config --global user.email you@example.org"
        return Check(
            "git-identity", "warning", "none for every repository: `branch land` needs one", hint
        )
    return Check("git-identity", "ok", who)


def _service_manager() -> Check:
    if sys.platform == "darwin":
        return Check("service-manager", "ok", "launchd")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if hardware.has("systemctl") and runtime and (Path(runtime) / "systemd").exists():
        return Check("service-manager", "ok", "systemd user manager")
    return Check("service-manager", "warning", "no systemd user manager here")


def _confinement() -> Check:
    program = "sandbox-exec" if sys.platform == "darwin" else "bwrap"
    if hardware.has(program):
        return Check("confinement", "ok", f"{program} confines the agent's Bash")
    hint = None if sys.platform == "darwin" else "apt install bubblewrap"
    return Check("confinement", "warning", f"no {program}: Bash runs unconfined", hint)


_CHECKS: tuple[Callable[[], Check], ...] = (
    _backend,
    _mlx_lm,
    _cache,
    _home,
    _token,
    _disk,
    _identity,
    _service_manager,
    _confinement,
)
