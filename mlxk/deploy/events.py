"""What happened to deployments, one NDJSON line each. Holds no secret."""

import os
from pathlib import Path
from typing import Any

from mlxk.contract import encoding
from mlxk.system import files
from mlxk.system.clock import Clock, now, stamp


def tell(home: Path, event: str, name: str, clock: Clock = now, **more: Any) -> None:
    """One write to a file opened for appending: lines of several writers do not mix."""
    line = {"ts": stamp(clock()), "event": event, "name": name, **more}
    path = home / "logs" / "events.ndjson"
    with files.translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, encoding.dumps(line, newline=True))
        finally:
            os.close(fd)
