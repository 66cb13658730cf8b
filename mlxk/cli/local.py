"""The model to use when none was typed. Shared by agent, run and serve."""

import os

from mlxk.contract.notes import note

DEFAULT_MODEL = "builtin:tiny"


def named(model: str | None, way: str = "--model") -> str:
    """`model`, else $MLXK_MODEL, else the demo model, which is said with a `way` to another."""
    if model or os.environ.get("MLXK_MODEL"):
        return model or os.environ["MLXK_MODEL"]
    note("demo_model", f"{DEFAULT_MODEL} is a demo model; choose a real one with {way}")
    return DEFAULT_MODEL
