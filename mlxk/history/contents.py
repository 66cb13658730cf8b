"""One file of a code commit: its bytes and its mode. Knows no worktree."""

import os
from dataclasses import dataclass

from mlxk.history.store import Store
from mlxk.history.trees import EXECUTABLE, LINK, SUBMODULE


@dataclass(frozen=True, slots=True)
class Content:
    """For a link `data` is where it points."""

    data: bytes
    is_link: bool
    is_executable: bool


def at(store: Store, commit: str, path: str) -> Content | None:
    """None when there is no such file, or when it is a submodule."""
    entry = store.trees.find(store.tree_of(commit), os.fsencode(path))
    if entry is None or entry[0] == SUBMODULE:
        return None
    mode, raw = entry
    return Content(store.read_blob(raw), mode == LINK, mode == EXECUTABLE)
