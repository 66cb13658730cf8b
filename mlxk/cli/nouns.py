"""Which module holds a command, by its first word: one command line imports one of them.

A test holds this table equal to what the modules register.
"""

from collections.abc import Sequence
from importlib import import_module

MODULES: dict[str, tuple[str, ...]] = {
    "agent": ("agent",),
    "bench": ("bench",),
    "branch": ("branch", "branch_export", "branch_log", "branch_trash", "branching"),
    "catalog": ("catalog",),
    "clone": ("storage",),
    "completion": ("about",),
    "config": ("config",),
    "convert": ("storage",),
    "deploy": ("deploy", "exchange"),
    "doctor": ("doctor",),
    "down": ("stack",),
    "gateway": ("gateway",),
    "health": ("models",),
    "init": ("advice",),
    "install": ("install",),
    "list": ("models",),
    "logs": ("watching",),
    "profile": ("advice",),
    "ps": ("ps",),
    "pull": ("storage",),
    "push": ("storage",),
    "recommend": ("advice",),
    "replay": ("replay",),
    "restart": ("stack",),
    "rm": ("storage",),
    "run": ("run",),
    "schema": ("about",),
    "serve": ("serving",),
    "show": ("models",),
    "status": ("stack",),
    "uninstall": ("install",),
    "up": ("stack",),
    "version": ("about",),
    "watch": ("watching",),
}


def load(argv: Sequence[str]) -> None:
    """Register what `argv` needs: one command's module, or all for help and for unknown words."""
    word = next((a for a in argv if not a.startswith("-")), "")
    if argv[:1] != [word] or word not in MODULES:
        return load_all()
    for name in MODULES[word]:
        import_module(f"mlxk.cli.{name}")
    return None


def load_all() -> None:
    import_module("mlxk.cli.commands")
