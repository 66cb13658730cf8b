"""Processes: who one is (pid, start time, boot), and how to stop it with its children."""

import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# What a child may inherit. Keys and tokens are not in this list, so they cannot leak.
_INHERITED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR",
    "COLORTERM", "NO_COLOR", "VIRTUAL_ENV", "CONDA_PREFIX", "PYENV_ROOT", "PYENV_VERSION",
    "JAVA_HOME", "GOPATH", "GOROOT", "CARGO_HOME", "RUSTUP_HOME", "NVM_DIR", "NODE_PATH",
    "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Identity:
    """A process for good: a reused pid has another start time, a reboot another boot id."""

    pid: int
    started: str
    boot: str


def identity(pid: int | None = None) -> Identity | None:
    """Who `pid` (default: we) is now; None when there is no such live process."""
    pid = os.getpid() if pid is None else pid
    started = _started(pid)
    return Identity(pid, started, boot_id()) if started else None


def is_alive(who: Identity) -> bool:
    return identity(who.pid) == who


def child_environment(
    env: Mapping[str, str] = os.environ, *, extra: Iterable[str] = ()
) -> dict[str, str]:
    """The allowlisted environment for a child: no secret of ours gets in."""
    allowed = {*_INHERITED, *extra}
    return {k: v for k, v in env.items() if k in allowed or k.startswith("LC_")}


def kill_group(pgid: int, grace: float = 0.5) -> None:
    """End a whole process group: SIGTERM, a moment, SIGKILL."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pgid, sig)
        deadline = time.monotonic() + grace
        while sig == signal.SIGTERM and time.monotonic() < deadline and _group_exists(pgid):
            time.sleep(0.01)


def _group_exists(pgid: int) -> bool:
    try:
        os.killpg(pgid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


@cache
def boot_id() -> str:
    if sys.platform == "darwin":
        return _sysctl("kern.bootsessionuuid")
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return "unknown"


def _started(pid: int) -> str | None:
    if sys.platform == "darwin":
        told = _output(["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)])
        state, _, since = told.partition(" ")
        return None if state.startswith("Z") else since.strip() or None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The command name may hold spaces and brackets: fields are counted after the last ")".
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _sysctl(name: str) -> str:
    return _output(["sysctl", "-n", name])


def _output(argv: list[str]) -> str:
    """The same words whoever asks: a service has another language and time zone than a terminal."""
    import subprocess  # noqa: PLC0415 -- 10 ms that only macOS pays

    plain = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=plain)
    return done.stdout.strip()
