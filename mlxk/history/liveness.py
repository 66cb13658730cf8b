"""Whether a process is writing a session now, and by what it can be told."""

from contextlib import suppress
from pathlib import Path

from mlxk.history.store import Store
from mlxk.system.files import is_locked


def is_held(store: Store, session: str) -> bool:
    """True while some process holds the session (see `session.Session`). Nobody waits for this."""
    return any(map(is_locked, locks(store, session)))


def locks(store: Store, session: str) -> tuple[Path, ...]:
    """Files that who writes the session holds: our own, and that of the other `MLXK_HOME` in which
    its worktree is.
    """
    place = Path("locks", store.key, f"{session}.lock")
    own, other = store.home / place, None
    if (folder := registered(store, session)) is not None and len(folder.parents) > 2:
        other = folder.parents[2] / place
    if other is None or not other.exists() or other.resolve() == own.resolve():
        return (own,)
    return own, other


def registered(store: Store, session: str) -> Path | None:
    """The folder that git has for the session's worktree, whether it exists or not."""
    gitdir = store.common / "worktrees" / f"mlxk-{session}" / "gitdir"
    with suppress(OSError, ValueError):
        return Path(gitdir.read_text().strip()).parent
    return None
