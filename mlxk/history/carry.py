"""Ignored files of the user's that a worktree is to have, too: `.env`, `node_modules`.

They stay ignored: what is carried is never committed.
"""

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mlxk.contract.errors import InvalidValue
from mlxk.contract.notes import note
from mlxk.history.cloning import READ
from mlxk.history.ignore import Rules
from mlxk.history.store import Store
from mlxk.system.files import reflink, translated


def bring(store: Store, worktree: Path, names: Iterable[str]) -> None:
    """Copy what is not there yet, never by a hard link. InvalidValue for a path that leads out."""
    for name in names:
        path = _checked(name)
        if store.root is None or not os.path.lexists(store.root / path):
            continue
        if not _is_ignored(store, worktree, path):
            note("not_carried", f"{name} is not ignored by git, so it is not carried")
        elif not os.path.lexists(worktree / path):
            with translated(worktree / path):
                (worktree / path).parent.mkdir(parents=True, exist_ok=True)
                _copy(store, store.root / path, worktree / path)


def _checked(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    strange = path.is_absolute() or not path.parts or {"..", "~"} & {*path.parts}
    if strange or any(part.lower() == ".git" for part in path.parts):
        raise InvalidValue(f"{name!r} is not a path inside the repository", name=name)
    return path


def _is_ignored(store: Store, worktree: Path, path: PurePosixPath) -> bool:
    """By the rules of the worktree, below folders that are really there and no links."""
    rules = Rules.of(worktree, store.common, store.config)
    for number, part in enumerate(path.parts, 1):
        source = Path(store.root or worktree, *path.parts[:number])
        is_folder = source.is_dir() and not source.is_symlink()
        if rules.ignores(os.fsencode(part), folder=is_folder):
            return True
        if not is_folder:
            return False
        rules = rules.below(os.fsencode(part))
    return False


def _copy(store: Store, source: Path, target: Path) -> None:
    store.require_wanted()
    mode = source.lstat().st_mode
    if stat.S_ISLNK(mode):
        target.symlink_to(source.readlink())
    elif stat.S_ISDIR(mode):
        target.mkdir()
        for inner in source.iterdir():
            _copy(store, inner, target / inner.name)
        target.chmod(stat.S_IMODE(mode) | 0o700)
    elif stat.S_ISREG(mode):
        fd = os.open(source, READ)
        with os.fdopen(fd, "rb") as old, target.open("xb") as new:
            if not reflink(old.fileno(), new.fileno()):
                shutil.copyfileobj(old, new)
        target.chmod(stat.S_IMODE(mode))
