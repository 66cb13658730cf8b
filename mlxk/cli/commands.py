"""Importing this module fills the command table."""

from mlxk.cli import (
    about,
    advice,
    agent,
    branch,
    branching,
    catalog,
    config,
    deploy,
    doctor,
    models,
    ps,
    run,
    serving,
    stack,
    storage,
    watching,
)

__all__ = [
    "about",
    "advice",
    "agent",
    "branch",
    "branching",
    "catalog",
    "config",
    "deploy",
    "doctor",
    "models",
    "ps",
    "run",
    "serving",
    "stack",
    "storage",
    "watching",
]
