"""What is known of a process: `run/<name>.json` and `pids/<name>.pid`. Starts nothing."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from mlxk.contract import encoding
from mlxk.contract.errors import CorruptState, InvalidDocument, Locked
from mlxk.system import files, process
from mlxk.system.process import Identity

Desired = Literal["running", "on_demand", "stopped"]
Owner = Literal["local", "launchd", "systemd"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One restart: when (seconds since 1970), and in which boot of the machine."""

    at: float
    boot_id: str


@dataclass(frozen=True, slots=True)
class Record:
    """`held`: given up until `up --clear`. `ready_at`: null until a token could be made."""

    name: str
    desired: Desired = "stopped"
    owner: Owner = "local"
    pid: int | None = None
    proc_start_time: str | None = None
    boot_id: str | None = None
    port: int | None = None
    argv: tuple[str, ...] = ()
    config_digest: str | None = None
    restarts: tuple[Attempt, ...] = ()
    last_exit: str | None = None
    reason: str | None = None
    held: bool = False
    started_at: float | None = None
    ready_at: float | None = None
    next_try_at: float | None = None

    @property
    def identity(self) -> Identity | None:
        if self.pid is None or self.proc_start_time is None or self.boot_id is None:
            return None
        return Identity(self.pid, self.proc_start_time, self.boot_id)

    def is_alive(self) -> bool:
        """Whether the very process that was started is there: a reused pid is a stranger."""
        who = self.identity
        return who is not None and process.is_alive(who)

    def of(self, who: Identity | None) -> "Record":
        if who is None:
            return replace(self, pid=None, proc_start_time=None, boot_id=None)
        return replace(self, pid=who.pid, proc_start_time=who.started, boot_id=who.boot)


def read(home: Path, name: str) -> Record | None:
    path = _path(home, name)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        value = encoding.loads(data, str(path))
        attempts = tuple(Attempt(**row) for row in value.pop("restarts"))
        return Record(**{**value, "argv": tuple(value["argv"]), "restarts": attempts})
    except (InvalidDocument, TypeError, KeyError, AttributeError) as e:
        hint = f"end what it started, then delete {path}"
        raise CorruptState(f"{path} cannot be read", hint=hint, path=str(path)) from e


def write(home: Path, record: Record) -> None:
    """The record first: a pid file without one would be nobody's."""
    data = encoding.dumps(asdict(record), newline=True, indent=True)
    files.write_atomic(_path(home, record.name), data, durable=False)
    pid_file = home / "pids" / f"{record.name}.pid"
    if record.pid is None:
        pid_file.unlink(missing_ok=True)
    else:
        files.write_atomic(pid_file, f"{record.pid}\n".encode(), durable=False)


def forget(home: Path, name: str) -> None:
    """No record, not desired: stopped."""
    (home / "pids" / f"{name}.pid").unlink(missing_ok=True)
    _path(home, name).unlink(missing_ok=True)


def names(home: Path) -> tuple[str, ...]:
    folder = home / "run"
    return tuple(sorted(p.stem for p in folder.glob("*.json"))) if folder.is_dir() else ()


def refuse_if_running(home: Path, name: str) -> None:
    known = read(home, name)
    if known is not None and known.is_alive():
        raise Locked(f"{name} is running", hint=f"mlxk down {name}", name=name)


def _path(home: Path, name: str) -> Path:
    return home / "run" / f"{name}.json"
