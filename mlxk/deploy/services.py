"""What a service manager of the operating system can do for us. Knows none of them."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from mlxk.contract.errors import ServiceManagerUnavailable

ManagerName = Literal["launchd", "systemd"]
SUPERVISOR = "watch"


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    output: str


Run = Callable[[list[str]], Ran]


@dataclass(frozen=True, slots=True)
class Job:
    """What a unit runs: `name` is a deployment's, or `watch` for the supervisor."""

    name: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    log: Path


class ServiceManager(Protocol):
    """Render is text alone; the rest talks to the manager and fails when it cannot be reached."""

    @property
    def name(self) -> ManagerName: ...
    def path(self, name: str) -> Path: ...
    def render(self, job: Job) -> str: ...
    def check(self) -> None: ...
    def load(self, name: str, *, now: bool) -> None: ...
    def unload(self, name: str) -> None: ...
    def start(self, name: str, *, again: bool = False) -> None: ...
    def stop(self, name: str) -> None: ...
    def is_loaded(self, name: str) -> bool: ...
    def linger(self) -> bool | None: ...


def run(argv: list[str]) -> Ran:
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        return Ran(done.returncode, (done.stdout + done.stderr).strip())
    return Ran(127, f"{argv[0]} is not there, or does not answer")


def required(ran: Ran, what: str) -> None:
    if ran.code != 0:
        hint = "mlxk watch runs without a service manager"
        raise ServiceManagerUnavailable(f"{what}: {ran.output or ran.code}", hint=hint)
