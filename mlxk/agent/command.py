"""Run one command: its own process group, a clean environment, a time-out, a cap on output."""

import asyncio
import os
from codecs import getincrementaldecoder
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket, socketpair
from types import MappingProxyType
from typing import IO, Any

from mlxk.system.process import child_environment, kill_group

_CHUNK = 65536
# A background child may keep the pipe open after the command itself has ended.
_LINGER_S = 0.5


@dataclass(frozen=True, slots=True)
class Done:
    """`text` is stdout and stderr as they came, at most the bytes asked for."""

    exit_code: int
    text: str
    dropped_bytes: int
    timed_out: bool


async def run_command(
    argv: Sequence[str],
    *,
    cwd: Path,
    timeout_s: float | None,
    keep_bytes: int,
    emit: Callable[[str], None] = lambda _: None,
    env: Mapping[str, str] = MappingProxyType({}),
    stdin: IO[bytes] | int = asyncio.subprocess.DEVNULL,
    gated: bool = False,
) -> Done:
    """Run to the end, the time-out or cancellation; no process of its group outlives the call.

    `env` comes on top of what every child may inherit. `gated`: `argv` waits to be let go on.
    """
    output = _Output(keep_bytes, emit)
    timed_out = False
    async with _pipe() as (stream, write_end), _gate() as (gate, let_go):
        with write_end, gate:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=cwd,
                env=child_environment() | {**env},
                stdin=gate.fileno() if gated else stdin,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(timeout_s):
                await _finish(process, output.read(stream), let_go())
        except TimeoutError:
            timed_out = True
        finally:
            await asyncio.to_thread(kill_group, process.pid)
            await process.wait()
    return Done(process.returncode or 0, output.text(), output.dropped, timed_out)


@asynccontextmanager
async def _pipe() -> AsyncGenerator[tuple[asyncio.StreamReader, IO[bytes]], None]:
    """A pipe of our own: asyncio's `wait()` would wait for the pipe it makes as well."""
    read_end, write_end = os.pipe()
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(read_end, "rb", 0)
    )
    try:
        yield stream, os.fdopen(write_end, "wb", 0)
    finally:
        transport.close()


@asynccontextmanager
async def _gate() -> AsyncGenerator[tuple[socket, Callable[[], Coroutine[Any, Any, None]]], None]:
    """What a gated command reads from, and what lets it go on once it is there."""
    ours, theirs = socketpair()
    ours.setblocking(False)

    async def let_go() -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            await loop.sock_recv(ours, 1)
            await loop.sock_sendall(ours, b"\n")

    with ours, theirs:
        yield theirs, let_go


async def _finish(process: asyncio.subprocess.Process, *beside: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.create_task(each) for each in beside]
    try:
        await process.wait()
        await asyncio.wait(tasks, timeout=_LINGER_S)
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class _Output:
    """Keeps the first bytes, counts the rest, passes text on as it comes."""

    def __init__(self, keep_bytes: int, emit: Callable[[str], None]) -> None:
        self._left = keep_bytes
        self._emit = emit
        self._pieces: list[str] = []
        self._decoder = getincrementaldecoder("utf-8")(errors="replace")
        self.dropped = 0

    async def read(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(_CHUNK):
            kept, rest = chunk[: self._left], chunk[self._left :]
            self._left -= len(kept)
            self.dropped += len(rest)
            if kept and (text := self._decoder.decode(kept)):
                self._pieces.append(text)
                self._emit(text)

    def text(self) -> str:
        return "".join(self._pieces)
