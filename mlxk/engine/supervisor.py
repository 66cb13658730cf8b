"""Keeps one engine process alive and its streams going: restart with back-off, and resume."""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path

from mlxk.contract.errors import (
    EngineFailed,
    EngineMissing,
    MlxkError,
    ModelUnhealthy,
    OutOfMemory,
    OverCapacity,
    RuntimeIncompatible,
    StartTimeout,
)
from mlxk.engine.child import WORKER, Child
from mlxk.engine.crew import Crew
from mlxk.engine.options import EngineOptions, EngineStats, Phase
from mlxk.engine.patience import Patience
from mlxk.engine.protocol import (
    Abort,
    Add,
    Beat,
    Failed,
    Job,
    Load,
    Ready,
    Report,
    Steps,
    Unloadable,
)
from mlxk.engine.roster import Roster
from mlxk.engine.tickets import Ticket
from mlxk.engine.watchdog import Watchdog

_ERRORS: dict[str, type[MlxkError]] = {
    error.type: error
    for error in (EngineFailed, EngineMissing, ModelUnhealthy, OutOfMemory, RuntimeIncompatible)
}


class Supervisor:
    """Lives on one event loop. `phase` says what a new request can expect."""

    def __init__(
        self,
        folder: Path,
        log: Path,
        options: EngineOptions,
        *,
        on_cpu: bool,
        program: Sequence[str] = WORKER,
    ) -> None:
        self.phase: Phase = "starting"
        self.restarts = 0
        self.facts: Ready | None = None
        self._folder = folder
        self._log = log
        self._options = options
        self._on_cpu = on_cpu
        self._program = program
        self._roster = Roster(self._abort)
        self._child: Child | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._drafted = self._accepted = 0
        self._settled = asyncio.Event()
        self._patience = Patience()
        self._watchdog = Watchdog(
            silence_s=options.silence_s, hang_s=options.hang_s, on_stall=self._end_stalled
        )

    async def start(self) -> None:
        await self._launch()
        self._spawn(self._watchdog.run())

    async def close(self) -> None:
        self.phase = "stopped"
        self._fail(EngineFailed("the engine was stopped"))
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._child:
            await self._child.end()

    async def ready(self) -> None:
        """Return when the process can make a token; raise why it will not."""
        if self.phase == "failed" and self._patience.revive():
            self._settled.clear()
            await self._relaunch()
        try:
            async with asyncio.timeout(self._options.start_timeout_s):
                await self._settled.wait()
        except TimeoutError as e:
            raise StartTimeout("the model is still loading", hint=f"see {self._log}") from e
        if self._patience.failure:
            raise self._patience.failure

    def submit(self, job: Job) -> Ticket:
        """A place in the batch or in the queue; OverCapacity when both are full."""
        if self._patience.failure:
            raise self._patience.failure
        if not self._roster.has_place(job.client, self._options.rows + self._options.queue):
            raise OverCapacity("too many requests are waiting", hint="try again later")
        ticket = self._roster.enter(job)
        self._send_unsent()
        return ticket

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def stats(self) -> EngineStats:
        beat = self._watchdog.beat
        active = max(self._roster.sent - beat.queued, 0)
        return EngineStats(
            phase=self.phase,
            active_sequences=active,
            queued=len(self._roster) - active,
            restarts=self.restarts,
            silent_s=self._watchdog.silent_s,
            prefix_cache_files=beat.archived,
            peak_memory_bytes=beat.peak_bytes or None,
            kv_bytes=beat.kv_bytes,
            drafted_tokens=self._drafted,
            accepted_tokens=self._accepted,
        )

    async def _launch(self) -> None:
        self.phase = "loading"
        self._watchdog.reset()
        self._child = self._new_child()
        await self._child.start(self._program, self._log, on_cpu=self._on_cpu)
        self._child.send(_load(self._folder, self._options))

    def _new_child(self) -> Child:
        who = self._options.ranks
        return Crew(who, self._hear, self._mourn) if who else Child(self._hear, self._mourn)

    def _hear(self, report: Report) -> None:
        self._watchdog.hear()
        match report:
            case Steps(steps):
                for step in steps:
                    self._drafted += step.drafted
                    self._accepted += step.accepted
                    self._roster.take(step)
                if self._roster.has_trial:
                    self._send_unsent()
            case Beat():
                self._watchdog.beat = report
                self._roster.note_reading(report.reading)
            case Ready():
                self.facts = self.facts or report
                self.phase = "ready"
                self._settled.set()
                self._send_unsent()
            case Failed(uid, kind, message):
                self._roster.fail(uid, _ERRORS.get(kind, EngineFailed)(message))
            case Unloadable(kind, message):
                error = _ERRORS.get(kind, EngineFailed)
                self._give_up(error(f"{self._folder.name} does not load: {message}"))

    def _send_unsent(self) -> None:
        if self.phase == "ready" and self._child:
            for ticket in self._roster.unsent():
                self._child.send(Add(ticket.continued()))

    def _abort(self, ticket: Ticket) -> None:
        if self._child and ticket.is_sent:
            self._child.send(Abort(ticket.uid))
        self._send_unsent()

    def _mourn(self) -> None:
        if self.phase not in ("stopped", "failed"):
            self._spawn(self._restart(was_loading=self.phase == "loading"))

    async def _restart(self, *, was_loading: bool) -> None:
        self.phase = "starting"
        cause = await self._child.end() if self._child else "never started"
        error = EngineFailed(f"the engine process died ({cause})", hint=f"see {self._log}")
        pause_s = self._patience.pause(was_loading=was_loading)
        if pause_s is None:
            self._give_up(error)
            return
        self._roster.survive(error)
        self.restarts += 1
        await asyncio.sleep(pause_s)
        await self._relaunch()

    async def _relaunch(self) -> None:
        try:
            await self._launch()
        except (OSError, MlxkError) as e:
            self._give_up(EngineFailed(f"the engine process does not start: {e}"))

    def _give_up(self, error: MlxkError) -> None:
        self.phase = "failed"
        self._fail(error)

    def _fail(self, error: MlxkError) -> None:
        self._patience.give_up(error)
        self._settled.set()
        self._roster.fail_all(error)

    def _end_stalled(self) -> None:
        if self._child:
            self._child.kill()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _load(folder: Path, options: EngineOptions) -> Load:
    archive = options.prefix_cache_folder
    return Load(
        folder=str(folder),
        rows=options.rows,
        step_tokens=options.step_tokens,
        kv_bytes=options.kv_bytes,
        kv_bits=options.kv_bits,
        kept_bytes=options.prefix_memory_bytes,
        archive=str(archive) if archive else None,
        archive_bytes=options.prefix_cache_bytes,
        draft=None if options.draft == "off" else str(options.draft),
    )
