"""Several processes as one engine: which ones, and the line that lets mlx.launch start them."""

import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from random import randrange
from typing import Any, Literal, get_args

from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument, InvalidValue, NotFound, PortConflict
from mlxk.system import hardware

Backend = Literal["ring", "jaccl", "jaccl-ring", "nccl"]

_HERE = "127.0.0.1"
# Where systems give no ports to clients: below 32768 on Linux, below 49152 on macOS.
_PORTS = range(20000, 32000)
_TRIES = 100
_LAUNCH = "from mlx._distributed_utils.launch import main; main()"


@dataclass(frozen=True, slots=True)
class Ranks:
    """`count` processes; at the places of `hostfile`, or all on this machine without one.

    `host` is where the other ranks reach rank 0, which runs on this machine.
    """

    count: int
    backend: Backend
    host: str = _HERE
    hostfile: Path | None = None


def divided(count: int | None, hostfile: Path | None, backend: str | None) -> Ranks | None:
    """What was asked for, checked; None for one process alone."""
    if backend is not None and backend not in get_args(Backend):
        raise InvalidValue(f"no backend {backend!r}", hint=f"one of {', '.join(get_args(Backend))}")
    if hostfile is not None:
        return _listed(hostfile, backend, count)
    if count in (None, 1):
        return None
    usual = "nccl" if hardware.backend() == "cuda" else "ring"
    return Ranks(count or 1, _known(backend or usual))


def launching(who: Ranks, path: Path, environment: Mapping[str, str]) -> list[str]:
    """The command line. `environment` is for ranks elsewhere and may be read by anybody there."""
    where = ["--hostfile", str(who.hostfile)] if who.hostfile else ["-n", str(who.count)]
    port = str(free_ports(who.count + 1))
    given = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    return [
        *(sys.executable, "-P", "-c", _LAUNCH, *where, "--backend", who.backend),
        *("--starting-port", port, "--nccl-port", port, *given, "--"),
        *(sys.executable, "-P", "-m", "mlxk.engine.rank", str(path), who.host, who.backend),
    ]


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on now."""
    for _ in range(_TRIES):
        first = randrange(_PORTS.start, _PORTS.stop - count)
        with suppress(OSError), ExitStack() as stack:
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("", port)))
            return first
    raise PortConflict(f"no {count} free ports in a row")


def _listed(path: Path, backend: str | None, count: int | None) -> Ranks:
    """mlx.launch's own format: `{"backend": …, "hosts": [{"ssh": …, "ips": […]}, …]}`."""
    try:
        found: Any = encoding.loads(path.read_bytes(), str(path))
    except OSError as e:
        raise NotFound(f"cannot read {path}: {e.strerror}", path=str(path)) from e
    found = found if isinstance(found, dict) else {"hosts": found}
    hosts = _hosts(path, found.get("hosts"))
    if count not in (None, len(hosts)):
        raise InvalidValue(
            f"{path} lists {len(hosts)} ranks, not {count}", hint="leave out --ranks"
        )
    chosen = backend or found.get("backend") or "ring"
    if chosen not in get_args(Backend):
        raise InvalidDocument(f"{path}: no backend {chosen!r}", problems=[_problem("/backend")])
    return Ranks(len(hosts), _known(str(chosen)), hosts[0]["ips"][0], path.resolve())


def _hosts(path: Path, found: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(found, list) or not found:
        raise InvalidDocument(f"{path} lists no hosts", problems=[_problem("/hosts")], hint=_FORM)
    for i, host in enumerate(found):
        if not (isinstance(host, dict) and isinstance(host.get("ssh"), str) and host.get("ips")):
            message = f"{path}: host {i} needs the name for ssh and its addresses"
            raise InvalidDocument(message, problems=[_problem(f"/hosts/{i}")], hint=_FORM)
    return found


_FORM = '{"hosts": [{"ssh": "127.0.0.1", "ips": ["10.0.0.1"]}, {"ssh": "b", "ips": ["10.0.0.2"]}]}'


def _problem(pointer: str) -> dict[str, str]:
    return {"pointer": pointer, "message": "is not what mlx.launch reads"}


def _known(backend: str) -> Backend:
    return next(name for name in get_args(Backend) if name == backend)
