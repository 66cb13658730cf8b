"""Whether a process is writing a session now. Takes no lock that anybody would wait for."""

import fcntl
import os

from mlxk.history.store import Store


def is_held(store: Store, session: str) -> bool:
    """True while some process holds the session's lock (see `session.Session`)."""
    try:
        fd = os.open(
            store.home / "locks" / store.key / f"{session}.lock", os.O_RDONLY | os.O_CLOEXEC
        )
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
