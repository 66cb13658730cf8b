"""Editable model folders outside the cache: which they are, and where each came from."""

import os
from pathlib import Path

import orjson

# The note that `clone` and `convert` leave in a folder.
PROVENANCE = ".mlxk-origin.json"
_MARKS = (PROVENANCE, "config.json")


def folders(home: Path) -> tuple[Path, ...]:
    """The folders under `home` that hold a model, sorted by name."""
    try:
        entries = sorted(home.iterdir())
    except OSError:
        return ()
    return tuple(f for f in entries if not f.name.startswith(".") and is_model(f))


def is_model(folder: Path) -> bool:
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except (OSError, ValueError):
        return False
    return any(n in _MARKS or n.endswith((".safetensors", ".gguf", ".npz")) for n in names)


def origin(folder: Path) -> str | None:
    """The repository that the note names, if there is a note."""
    try:
        note = orjson.loads((folder / PROVENANCE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    name = note.get("origin") if isinstance(note, dict) else None
    return name if isinstance(name, str) else None
