"""Where things are: every environment variable that names a place is read here."""

import os
from collections.abc import Mapping
from pathlib import Path


def home(env: Mapping[str, str] = os.environ) -> Path:
    """`$MLXK_HOME`, else `~/.mlxk`: sessions, worktrees, deployments, logs."""
    return _expanded(env.get("MLXK_HOME"), env) or _user(env) / ".mlxk"


def prefix_cache(env: Mapping[str, str] = os.environ) -> Path:
    """What engines have read, kept for the next time; safe to delete."""
    return home(env) / "prefix-cache"


def hub_cache(env: Mapping[str, str] = os.environ) -> Path:
    """The Hugging Face cache, by the same rules as huggingface_hub, without importing it."""
    explicit = _expanded(env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE"), env)
    return explicit or hf_home(env) / "hub"


def hf_home(env: Mapping[str, str] = os.environ) -> Path:
    explicit = _expanded(env.get("HF_HOME"), env)
    base = _expanded(env.get("XDG_CACHE_HOME"), env) or _user(env) / ".cache"
    return explicit or base / "huggingface"


def workspaces(env: Mapping[str, str] = os.environ) -> Path | None:
    """`$MLXK_WORKSPACE_HOME`: editable model folders listed beside the cache."""
    return _expanded(env.get("MLXK_WORKSPACE_HOME"), env)


def _user(env: Mapping[str, str]) -> Path:
    return Path(env["HOME"] if env.get("HOME") else named("~")).absolute()


def _expanded(value: str | None, env: Mapping[str, str]) -> Path | None:
    if not value:
        return None
    text = os.path.expandvars(value)
    if text == "~" or text.startswith("~/"):
        return (_user(env) / text[2:]).absolute()
    return named(text).absolute()


def named(text: str) -> Path:
    """A path that somebody wrote: a `~` or `~user` that names nobody stays as it is."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 -- the other raises
