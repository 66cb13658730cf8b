"""Bare stores of our own, below our home, for folders that no git repository of the user's holds.

Nothing is ever written into the folder itself.
"""

import os
import shutil
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path

from dulwich.repo import Repo

from mlxk.contract.errors import InvalidValue
from mlxk.system.files import translated

_FOLDER = "mlxk-folder"  # in the store: which folder it is for


@dataclass(frozen=True, slots=True)
class Own:
    """A store and the folder whose files it holds."""

    store: Path
    folder: Path


def find(path: Path, home: Path) -> Own | None:
    """The store of `path` or of the nearest folder above it that has one."""
    real = Path(os.path.realpath(path))
    for folder in (real, *real.parents):
        store = _place(folder, home)
        if (store / _FOLDER).is_file():
            return Own(store, folder)
    return None


def make(path: Path, home: Path) -> Own:
    """Whole or not at all; the one that is there, if there is one. InvalidValue for a folder that
    holds a user's whole home.
    """
    if (found := find(path, home)) is not None:
        return found
    real = Path(os.path.realpath(path))
    folder = next((at for at in (real, *real.parents) if (at / ".git").exists()), real)
    if folder in (Path.home().resolve(), *Path.home().resolve().parents):
        raise InvalidValue(
            f"{folder} holds everything you have: too much to keep a history of",
            hint="cd to the folder of one project",
        )
    store = _place(folder, home)
    building = store.with_name(f".{store.name}.{os.getpid()}")
    with translated(store):
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        Repo.init_bare(str(building), default_branch=b"main").close()
        (building / _FOLDER).write_bytes(os.fsencode(folder) + b"\n")
        try:
            building.rename(store)
        except OSError:
            shutil.rmtree(building)
            if not (store / _FOLDER).is_file():
                raise
    return Own(store, folder)


def _place(folder: Path, home: Path) -> Path:
    digest = sha1(os.fsencode(folder), usedforsecurity=False).hexdigest()[:12]
    return home / "stores" / f"{folder.name or 'root'}-{digest}.git"
