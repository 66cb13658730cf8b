"""Work on many files with a few threads, told as progress; an interrupt waits for nobody."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from mlxk.contract.errors import MlxkError

_MOMENT = 0.2

Tick = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """`file` is null for the sum of all; a file that is done has all its bytes."""

    type: Literal["progress"]
    file: str | None
    bytes_done: int
    bytes_total: int


class Stopped(Exception):
    """Raised by `tick` in a worker when nobody waits for it any more."""


@dataclass(frozen=True, slots=True)
class Task:
    """`run` tells its tick every count of bytes; a negative one takes bytes back."""

    name: str
    size: int
    run: Callable[[Tick], None]


class Fleet:
    """Daemon threads over a queue of tasks; `done` counts the bytes of all ticks."""

    def __init__(self, tasks: Sequence[Task], *, workers: int, done: int = 0) -> None:
        self.done = done
        self._tasks = tasks
        self._workers = min(workers, len(tasks))
        self._total = sum(task.size for task in tasks)
        self._todo: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[int | Task | BaseException] = queue.SimpleQueue()
        self._stopped = threading.Event()

    def run(self) -> Generator[Progress, None, None]:
        """Events until every task is done; the first failure is raised here."""
        for task in self._tasks:
            self._todo.put(task)
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._workers)]
        for thread in threads:
            thread.start()
        waiting = len(self._tasks)
        try:
            while waiting:
                is_alive = any(thread.is_alive() for thread in threads)
                event = self._next()
                waiting -= event.file is not None
                if event.file is None and not is_alive:
                    raise RuntimeError("every worker ended before the work did")
                yield event
            yield Progress("progress", None, self.done, self._total)
        finally:
            self._stopped.set()

    def _next(self) -> Progress:
        """The next finished file, or the sum after a moment."""
        deadline = time.monotonic() + _MOMENT
        with suppress(queue.Empty):
            while (left := deadline - time.monotonic()) > 0:
                match self._news.get(timeout=left):
                    case int(count):
                        self.done += count
                    case Task(name, size):
                        return Progress("progress", name, size, size)
                    case BaseException() as error:
                        raise error
        return Progress("progress", None, self.done, self._total)

    def _work(self) -> None:
        with suppress(queue.Empty, Stopped):
            while True:
                task = self._todo.get_nowait()
                try:
                    task.run(self._tick)
                except (MlxkError, OSError) as e:
                    self._news.put(e)
                    return
                self._news.put(task)

    def _tick(self, count: int) -> None:
        if self._stopped.is_set():
            raise Stopped
        if count:
            self._news.put(count)
