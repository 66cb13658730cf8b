"""Which Python distributions are installed, read from folder names: importlib is slow."""

import sys
from pathlib import Path


def installed_version(distribution: str) -> str | None:
    """The version of `distribution`, or None; imports nothing of it."""
    stem = distribution.replace("-", "_")
    for folder in (Path(p) for p in sys.path if p):
        for found in folder.glob(f"{stem}-*.dist-info") if folder.is_dir() else ():
            return found.name.removesuffix(".dist-info").rpartition("-")[2]
    return _asked(distribution)


def _asked(distribution: str) -> str | None:
    """importlib.metadata finds the odd layouts (editable installs), but its import costs 15 ms."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
