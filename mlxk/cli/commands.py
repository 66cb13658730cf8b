"""Importing this module fills the command table."""

from mlxk.cli import about, doctor

__all__ = ["about", "doctor"]
