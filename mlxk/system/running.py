"""Servers of this user that run now: `serve` announces itself, `run` and `agent` ask who is there.

Nobody is asked who has not announced itself: a prompt must not go to a stranger on a port.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument, MlxkError
from mlxk.contract.notes import note
from mlxk.system import files, paths, process
from mlxk.system.process import Identity

_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server and what it serves: names and folders. Its key is in the variable `key_env`, or in
    `key_file`."""

    url: str
    key_env: str | None
    models: Mapping[str, str]
    key_file: str | None = None

    def name_of(self, folder: Path) -> str | None:
        return next((name for name, at in self.models.items() if at == str(folder)), None)

    @property
    def key(self) -> str | None:
        if self.key_file is not None and (path := Path(self.key_file)).is_file():
            with suppress(OSError, ValueError):
                return path.read_text("ascii").strip() or None
        return os.environ.get(self.key_env) if self.key_env else None


@contextmanager
def announced(running: Running) -> Iterator[Callable[[Running], None]]:
    """Known to others of this home as long as the block lasts, or the process.

    What it gives says something new of the same server. A home that cannot be written (full,
    read-only) is no reason not to serve.
    """
    who = process.identity()
    path = _folder() / f"{os.getpid()}.json"

    def tell(now: Running) -> None:
        value = {"process": who, "server": now}
        data = encoding.dumps(value, newline=True)
        try:
            files.write_atomic(path, data, mode=0o600, durable=False)
        except (MlxkError, OSError) as e:
            note("unannounced", f"mlxk run and agent will not find this server: {e}")

    tell(running)
    try:
        yield tell
    finally:
        with suppress(OSError):
            path.unlink()


def serving(folder: Path) -> tuple[Running, str] | None:
    """Who answers for the model in `folder` now, and under which name."""
    for running in _announced():
        name = running.name_of(folder.resolve())
        if name is not None and _is_well(running):
            return running, name
    return None


def _announced() -> Iterator[Running]:
    """Those that are alive; what the dead have left is removed."""
    for path in sorted(_folder().glob("*.json")):
        with suppress(OSError, InvalidDocument, TypeError, KeyError):
            value = encoding.loads(path.read_bytes(), str(path))
            if process.is_alive(Identity(**value["process"])):
                yield Running(**value["server"])
            else:
                path.unlink(missing_ok=True)


def _is_well(running: Running) -> bool:
    from mlxk.system import asking  # noqa: PLC0415 -- only who finds a server pays for it

    if (running.key_env or running.key_file) and not running.key:
        return False
    with suppress(OSError):
        return asking.get(f"{running.url}/health", timeout_s=_PATIENCE_S)[0] == 200
    return False


def _folder() -> Path:
    return paths.home() / "servers"
