"""The engine process seen from outside: how it is started, spoken to and ended."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import mlxk
from mlxk.contract.notes import note
from mlxk.engine.protocol import Command, Decoder, Report, encode
from mlxk.system.process import child_environment

# What MLX and its back ends read. No token and no key is among them.
_ENVIRONMENT = (
    "HF_HOME", "HF_HUB_CACHE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LD_LIBRARY_PATH",
    "LD_PRELOAD", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "CUDA_PATH",
    "NVIDIA_VISIBLE_DEVICES", "METAL_DEVICE_WRAPPER_TYPE",
)  # fmt: skip
# MLX counts the shapes that it had to prepare for, and refuses to go on after the 512th. A server
# meets a new one with every prompt.
_CUDA = {"MLX_ENABLE_CACHE_THRASHING_CHECK": "0", "MLX_CUDA_SDPA_CACHE_SIZE": "1024"}
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
        with ExitStack() as stack:
            ours, theirs = map(stack.enter_context, socket.socketpair())
            argv = [*program, str(theirs.fileno()), str(os.getpid())]
            self._process = spawn(argv, log, environment(on_cpu=on_cpu), fd=theirs.fileno())
            theirs.close()
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: self, sock=ours)
            stack.pop_all()

    def send(self, command: Command) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(encode(command))

    def kill(self) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def end(self) -> str:
        """Close the socket, which ends the process, and return what it died of."""
        if self._transport:
            self._transport.close()
        if self._process is None:
            return "never started"
        try:
            status = await asyncio.to_thread(self._process.wait, _GRACE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            status = await asyncio.to_thread(self._process.wait)
        return cause(status)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for report in self._decoder.feed(data):
            self._on_report(report)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end()


def spawn(
    argv: Sequence[str],
    log: Path,
    env: Mapping[str, str],
    *,
    fd: int | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """A session of its own, so that Ctrl-C at the terminal is ours alone to hear."""
    with _appended(log) as stderr:
        return subprocess.Popen(
            argv,
            pass_fds=() if fd is None else (fd,),
            env=env,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )


def _appended(log: Path) -> IO[bytes]:
    """Nowhere, with a warning, when the log cannot be written: the engine can do without."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = log.open("ab")
        # Another engine may be writing there: it, too, goes on at the end.
        if file.tell() > _LOG_BYTES:
            file.truncate(0)
        return file
    except OSError as e:
        note("no_log", f"the engine's log {log} cannot be written: {(e.strerror or '?').lower()}")
        return Path(os.devnull).open("wb")


def environment(*, on_cpu: bool) -> dict[str, str]:
    mlx = (name for name in os.environ if name.startswith("MLX_"))
    return child_environment(extra=(*_ENVIRONMENT, *mlx)) | settings(on_cpu=on_cpu)


def settings(*, on_cpu: bool) -> dict[str, str]:
    """What we set ourselves, on any machine."""
    made = {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    made |= {name: os.environ.get(name, value) for name, value in _CUDA.items()}
    if places := _import_path():
        made["PYTHONPATH"] = os.pathsep.join(places)
    if on_cpu:
        # On the CPU MLX compiles with the machine's C++ compiler: slow at first, and often absent.
        made["MLX_DISABLE_COMPILE"] = os.environ.get("MLX_DISABLE_COMPILE", "1")
    return made


def _import_path() -> list[str]:
    """Ours and the user's. Not where packages are installed: there, before the standard library,
    whatever has the name of one of its modules would take its place."""
    ours = str(Path(mlxk.__file__).parents[1])
    theirs = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    installed = {str(Path(sysconfig.get_path(name)).resolve()) for name in ("purelib", "platlib")}
    return theirs if ours in installed else [ours, *theirs]


def cause(status: int) -> str:
    """`killed by SIGKILL`, or the exit status."""
    if status >= 0:
        return f"exit status {status}"
    return f"killed by {signal.Signals(-status).name}"
