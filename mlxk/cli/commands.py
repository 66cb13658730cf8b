"""Importing this module fills the command table."""

from mlxk.cli import about, agent, branch, doctor, models, serving, storage

__all__ = ["about", "agent", "branch", "doctor", "models", "serving", "storage"]
