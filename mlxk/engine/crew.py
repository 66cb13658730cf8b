"""The ranks of one engine seen from outside: started by mlx.launch, spoken to through rank 0."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from mlxk.contract.errors import StartFailed
from mlxk.engine.child import Child, environment, settings, spawn
from mlxk.engine.protocol import Beat, Command, Ready, Report
from mlxk.engine.ranks import Ranks, launching

_HUSH_S = 0.3
_CONNECT_S = 120.0
# Only for hosts that are reached by ssh: the launcher cannot do it without.
_FOR_SSH = ("SSH_AUTH_SOCK", "SSH_AGENT_PID")
# Without it a rank's GPU and network wait for each other by sleeping.
_FAST = {"MLX_METAL_FAST_SYNCH": "1"}


class Crew(Child):
    """Like `Child`. The process is the launcher, in a group with every rank on this machine."""

    def __init__(
        self, who: Ranks, on_report: Callable[[Report], None], on_end: Callable[[], None]
    ) -> None:
        super().__init__(self._pass_on, on_end)
        self._who = who
        self._hear = on_report
        self._folder: Path | None = None
        self._server: asyncio.Server | None = None
        self._unsent: list[Command] = []
        self._ready = asyncio.Event()
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def start(self, program: Sequence[str], log: Path, *, on_cpu: bool) -> None:
        try:
            await self._begin(log, on_cpu=on_cpu)
        except BaseException:
            await self.end()
            raise

    async def _begin(self, log: Path, *, on_cpu: bool) -> None:
        # For its owner only, as everything that tempfile makes.
        self._folder = Path(tempfile.mkdtemp(prefix="mlxk-"))
        path = self._folder / "rank0"
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_unix_server(lambda: self, str(path))
        except OSError as e:
            message = f"no socket can be made in {self._folder}: {e.strerror or e}"
            raise StartFailed(message, hint="TMPDIR may name a shorter path") from e
        env = environment(on_cpu=on_cpu) | _FAST | {"TMPDIR": str(self._folder)}
        if self._who.hostfile:
            env |= {name: os.environ[name] for name in _FOR_SSH if name in os.environ}
        argv = launching(self._who, path, settings(on_cpu=on_cpu) | _FAST)
        self._process = spawn(argv, log, env, stdin=subprocess.PIPE)
        self._tasks = (asyncio.ensure_future(self._watch()), asyncio.ensure_future(self._hush()))

    def send(self, command: Command) -> None:
        if self._transport is None:
            self._unsent.append(command)
        super().send(command)

    def kill(self) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> str:
        """There is nothing that a rank would have to save."""
        for task in self._tasks:
            task.cancel()
        has_ended = self._process is None or self._process.poll() is not None
        self.kill()
        how = await super().end()
        if self._process and self._process.stdin:
            self._process.stdin.close()
        if self._server:
            self._server.close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        # The launcher's own status is 0 whatever its ranks did.
        was_killed = has_ended and how.startswith("killed")
        return f"the launcher was {how}" if was_killed else f"one of {self._who.count} ranks ended"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._transport:
            return
        super().connection_made(transport)
        for command in self._unsent:
            super().send(command)

    async def _watch(self) -> None:
        """The launcher's end is the end, also when rank 0 has not connected yet."""
        if self._process:
            await asyncio.to_thread(self._process.wait)
        if self._transport:
            self._transport.abort()
        else:
            self.connection_lost(None)

    def _pass_on(self, report: Report) -> None:
        if isinstance(report, Ready):
            self._ready.set()
        self._hear(report)

    async def _hush(self) -> None:
        """A word that a rank does not read tells the launcher that it never will.

        Until rank 0 has connected nobody but us can say that something is going on.
        """
        is_last, patient_until = False, time.monotonic() + _CONNECT_S
        while not is_last and self._process and self._process.stdin:
            is_last = self._ready.is_set()
            if self._transport is None and time.monotonic() < patient_until:
                self._hear(Beat(0, 0, 0.0))
            with suppress(OSError):
                self._process.stdin.write(b"\n")
                self._process.stdin.flush()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), _HUSH_S)
