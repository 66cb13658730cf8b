"""The engine's thread: takes commands between steps, never during one. Knows no MLX.

A step that raises costs its sequences a new prefill, not the engine its life: each is tried
alone, and the one that raises alone gets the error. Who waits comes in by turns of the clients.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from mlxk.engine.inbox import Inbox
from mlxk.engine.protocol import Abort, Add, Failed, Job, Report, Step, Steps, Stop
from mlxk.engine.runner import Runner

log = logging.getLogger(__name__)


class EngineLoop:
    """`live` jobs are on the runner, `waiting` ones are not; `suspects` wait for a trial alone."""

    def __init__(
        self,
        runner: Runner,
        inbox: Inbox,
        report: Callable[[Report], None],
        *,
        around_step: Callable[[bool], None] = lambda _busy: None,
        on_error: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        self._runner = runner
        self._inbox = inbox
        self._report = report
        self._around_step = around_step
        self._on_error = on_error
        self._live: dict[int, Job] = {}
        self._made: dict[int, list[int]] = {}
        self._waiting: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        self._acquitted: set[int] = set()

    @property
    def active(self) -> int:
        return len(self._live)

    @property
    def queued(self) -> int:
        return len(self._waiting) + len(self._suspects)

    def run(self) -> None:
        """Until a Stop command."""
        while self._take_commands():
            self._around_step(True)
            self._advance()
            self._around_step(False)

    def _take_commands(self) -> bool:
        """Apply what waits in the inbox; sleep there while idle. False means stop."""
        while True:
            for command in self._inbox.take(self._tidy if self._is_idle else None):
                match command:
                    case Stop():
                        return False
                    case Add(job):
                        self._waiting.append(job)
                    case Abort(uid):
                        self._drop(uid)
            if not self._is_idle:
                return True

    @property
    def _is_idle(self) -> bool:
        return not (self._live or self._waiting or self._suspects)

    def _tidy(self) -> bool:
        """Nobody waits for this, so nobody hears that it failed."""
        try:
            return self._runner.tidy()
        except Exception as e:
            log.warning("what was put off failed", exc_info=e)
            return False

    def _advance(self) -> None:
        try:
            self._make_room()
            self._admit()
            steps = self._runner.step()
        except Exception as e:  # noqa: BLE001 -- whatever a device throws, the engine lives on
            self._isolate(e)
        else:
            self._publish(steps)

    def _make_room(self) -> None:
        while (uid := self._runner.crowded()) is not None:
            self._runner.remove(uid)
            self._waiting.appendleft(self._take(uid))

    def _admit(self) -> None:
        if self._suspects:
            if not self._live:
                self._start(self._suspects.popleft())
            return
        while self._waiting and self._runner.has_room(job := self._next()):
            self._waiting.remove(job)
            self._start(job)

    def _next(self) -> Job:
        """The first that waits, of the clients with the fewest running."""
        running = Counter(job.client for job in self._live.values())
        return min(self._waiting, key=lambda job: running[job.client])

    def _start(self, job: Job) -> None:
        self._live[job.uid] = job
        self._made[job.uid] = list(job.made)
        self._runner.add(job)

    def _publish(self, steps: Sequence[Step]) -> None:
        known = tuple(step for step in steps if step.uid in self._live)
        if not known:
            return
        for step in known:
            self._note(step)
        self._report(Steps(known))
        if self._suspects and len(self._live) == 1:
            self._release(*self._live)

    def _note(self, step: Step) -> None:
        if step.ended:
            self._take(step.uid)
            self._acquitted.discard(step.uid)
        else:
            self._made[step.uid].append(step.token)

    def _take(self, uid: int) -> Job:
        """A live job with what it has made so far, off the books."""
        return replace(self._live.pop(uid), made=tuple(self._made.pop(uid)))

    def _release(self, uid: int) -> None:
        """A suspect made a token alone: it may join the others again, once."""
        if uid in self._acquitted:
            return
        self._acquitted.add(uid)
        self._runner.remove(uid)
        self._waiting.appendleft(self._take(uid))

    def _withdraw(self, error: Exception) -> tuple[Job, ...]:
        log.warning("a step with %d sequences failed", len(self._live), exc_info=error)
        self._on_error(error)
        self._runner.reset()
        return tuple(self._take(uid) for uid in tuple(self._live))

    def _isolate(self, error: Exception) -> None:
        jobs = self._withdraw(error)
        if len(jobs) == 1:
            self._acquitted.discard(jobs[0].uid)
            self._report(Failed(jobs[0].uid, kind_of(error), str(error) or type(error).__name__))
        else:
            self._suspects.extend(jobs)

    def _drop(self, uid: int) -> None:
        self._acquitted.discard(uid)
        if uid in self._live:
            self._take(uid)
            try:
                self._runner.remove(uid)
            except Exception as e:  # noqa: BLE001 -- none of those who stay is to blame
                self._suspects.extend(self._withdraw(e))
        self._waiting = deque(job for job in self._waiting if job.uid != uid)
        self._suspects = deque(job for job in self._suspects if job.uid != uid)


def kind_of(error: Exception) -> str:
    """The error type a user sees. MLX says "malloc" or "memory" when the device has none left."""
    text = str(error).lower()
    exhausted = isinstance(error, MemoryError) or "malloc" in text or "out of memory" in text
    return "out_of_memory" if exhausted else "engine_failed"
