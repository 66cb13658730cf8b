"""Whether a process is writing a session now. Takes no lock that anybody would wait for."""

from mlxk.history.store import Store
from mlxk.system.files import is_locked


def is_held(store: Store, session: str) -> bool:
    """True while some process holds the session's lock (see `session.Session`)."""
    return is_locked(store.home / "locks" / store.key / f"{session}.lock")
