"""One request's place in the engine, from submission to its last token. Knows no process."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from mlxk.chat import notices
from mlxk.contract.errors import MlxkError
from mlxk.engine.protocol import Job, Step

# Shorter prompts are read before anybody wonders.
_LONG = 2048


class Ticket:
    """Steps arrive on the event loop by `take`; one reader waits for them in `steps`.

    `deaths` counts processes that died with this ticket since it last made progress.
    """

    def __init__(self, job: Job, release: Callable[["Ticket"], None]) -> None:
        self.job = job
        self.made = list(job.made)
        self.deaths = 0
        self.cached = self.drafted = self.accepted = 0
        self.is_sent = False
        self.is_over = False
        self._release = release
        self._since = 0
        self._first_s = self._last_s = 0.0
        self._unread: list[Step] = []
        self._error: MlxkError | None = None
        self._read: int | None = None
        self._news = asyncio.Event()

    @property
    def uid(self) -> int:
        return self.job.uid

    @property
    def made_s(self) -> float:
        """From the first token of the answer to its last."""
        return self._last_s - self._first_s

    def continued(self) -> Job:
        self._since = 0
        return replace(self.job, made=tuple(self.made))

    def take(self, step: Step) -> None:
        now = time.monotonic()
        if not self.made:
            self.cached = step.cached
            self._first_s = self._last_s = now
        if step.ended != "stop":
            self._last_s = now
        self.drafted += step.drafted
        self.accepted += step.accepted
        self.made.append(step.token)
        self._since += 1
        self._unread.append(step)
        self.is_over = step.ended is not None
        self._news.set()

    def note_reading(self, read: int) -> None:
        """So much of a long prompt has been read; whoever waits for the first token is told."""
        if len(self.job.prompt) >= _LONG:
            self._read = read
            self._news.set()

    def fail(self, error: MlxkError) -> None:
        self._error = error
        self.is_over = True
        self._news.set()

    def survive(self, progress: int) -> None:
        """The process died. What this ticket made since it was sent speaks for it."""
        self.deaths = 1 if self._since >= progress else self.deaths + 1
        self.is_sent = False

    def is_cleared(self, progress: int) -> bool:
        return self.is_over or self._since >= progress

    async def steps(self) -> list[Step]:
        """What arrived since the last call, at least one; the error when there is one."""
        while not self._unread:
            if self._error:
                raise self._error
            if self._read is not None:
                notices.tell(notices.Prefill(self._read, len(self.job.prompt)))
                self._read = None
            self._news.clear()
            await self._news.wait()
        unread, self._unread = self._unread, []
        return unread

    def close(self) -> None:
        self._release(self)
