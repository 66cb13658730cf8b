"""Editable model folders outside the cache, and the note in each that says where it came from."""

from pathlib import Path

import orjson

PROVENANCE = ".mlxk-origin.json"


def folders(home: Path) -> tuple[Path, ...]:
    """The folders under `home` that hold a model, sorted by name."""
    try:
        entries = sorted(home.iterdir())
    except OSError:
        return ()
    return tuple(f for f in entries if f.is_dir() and is_model(f))


def is_model(folder: Path) -> bool:
    if (folder / "config.json").is_file() or (folder / PROVENANCE).is_file():
        return True
    return any(next(folder.glob(kind), None) for kind in ("*.safetensors", "*.gguf", "*.npz"))


def origin(folder: Path) -> str | None:
    """The repository that the provenance note names, if there is such a note."""
    try:
        note = orjson.loads((folder / PROVENANCE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    name = note.get("origin") if isinstance(note, dict) else None
    return name if isinstance(name, str) else None
