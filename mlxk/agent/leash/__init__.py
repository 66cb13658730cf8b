"""Other people's agents on a leash: their program, our model, worktree, history and report."""

import shutil
from pathlib import Path


def folder(home: Path, session: str) -> Path:
    """Where the programs that worked in a session keep their own state of it."""
    return home / "leash" / session


def forget(home: Path, session: str) -> None:
    shutil.rmtree(folder(home, session), ignore_errors=True)
