"""The engine process seen from outside: how it is started, spoken to and ended."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import mlxk
from mlxk.engine.protocol import Command, Decoder, Report, encode
from mlxk.system.files import translated
from mlxk.system.process import child_environment

# What MLX and its back ends read. No token and no key is among them.
_ENVIRONMENT = (
    "HF_HOME", "HF_HUB_CACHE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LD_LIBRARY_PATH",
    "LD_PRELOAD", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "CUDA_PATH",
    "NVIDIA_VISIBLE_DEVICES", "METAL_DEVICE_WRAPPER_TYPE",
)  # fmt: skip
_GRACE_S = 2.0
_LOG_BYTES = 1 << 20

WORKER = (sys.executable, "-P", "-m", "mlxk.engine.worker")


class Child(asyncio.Protocol):
    """One process and the socket to it. `on_report` hears what it says, `on_end` its end once."""

    def __init__(self, on_report: Callable[[Report], None], on_end: Callable[[], None]) -> None:
        self._on_report = on_report
        self._on_end = on_end
        self._decoder = Decoder()
        self._transport: asyncio.Transport | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self, program: Sequence[str], log: Path, *, on_cpu: bool) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = _spawn(program, theirs, log, on_cpu=on_cpu)
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self, sock=ours)

    def send(self, command: Command) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(encode(command))

    def kill(self) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def end(self) -> int:
        """Close the socket, which ends the process, and return its exit status."""
        if self._transport:
            self._transport.close()
        if self._process is None:
            return 0
        try:
            return await asyncio.to_thread(self._process.wait, _GRACE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return await asyncio.to_thread(self._process.wait)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for report in self._decoder.feed(data):
            self._on_report(report)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end()


def _spawn(
    program: Sequence[str], theirs: socket.socket, log: Path, *, on_cpu: bool
) -> subprocess.Popen[bytes]:
    """A session of its own, so that Ctrl-C at the terminal is ours alone to hear."""
    argv = [*program, str(theirs.fileno()), str(os.getpid())]
    with translated(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        is_long = log.exists() and log.stat().st_size > _LOG_BYTES
        with log.open("wb" if is_long else "ab") as stderr:
            return subprocess.Popen(
                argv,
                pass_fds=(theirs.fileno(),),
                env=_environment(on_cpu=on_cpu),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )


def _environment(*, on_cpu: bool) -> dict[str, str]:
    mlx = (name for name in os.environ if name.startswith("MLX_"))
    environment = child_environment(extra=(*_ENVIRONMENT, *mlx))
    ours = str(Path(mlxk.__file__).parents[1])
    theirs = os.environ.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join((ours, theirs)) if theirs else ours
    environment["PYTHONUNBUFFERED"] = "1"
    environment["HF_HUB_OFFLINE"] = "1"
    if on_cpu:
        # On the CPU MLX compiles with the machine's C++ compiler: slow at first, and often absent.
        environment.setdefault("MLX_DISABLE_COMPILE", "1")
    return environment
