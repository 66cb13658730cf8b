"""Run an asynchronous stream of events from synchronous code, with signals that let it finish."""

import asyncio
import contextvars
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Generic, TypeVar

from mlxk.cli.main import Terminated, last_words

E = TypeVar("E")
R = TypeVar("R")
_SIGNALS: dict[signal.Signals, type[KeyboardInterrupt]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
}


def drive(stream: AsyncGenerator[E, None]) -> Generator[E, None, None]:
    """Yield what `stream` yields. Signals as in `drive_task`; closing this closes the stream."""

    async def read(listen: Callable[[E], None]) -> None:
        # Nothing is awaited here but the stream itself: a cancellation always lands inside it.
        try:
            async for event in stream:
                listen(event)
        finally:
            await stream.aclose()

    return (yield from drive_task(read))


def drive_task(
    work: Callable[[Callable[[E], None]], Coroutine[Any, Any, R]],
) -> Generator[E, None, R]:
    """Run `work(listen)`; yield what it tells `listen`, return what it returns.

    The first SIGINT or SIGTERM cancels it; it may still clean up and tell last events. Then
    KeyboardInterrupt (or Terminated) is raised. A second signal does not wait.
    """
    with asyncio.Runner() as runner:
        pump = _Pump(runner, work)
        try:
            return (yield from pump.events())
        finally:
            pump.close()


class _Pump(Generic[E, R]):
    """One task does the work, so that time-outs and task groups inside it work."""

    def __init__(
        self, runner: asyncio.Runner, work: Callable[[Callable[[E], None]], Coroutine[Any, Any, R]]
    ) -> None:
        self._runner = runner
        self._loop = runner.get_loop()
        self._queue: asyncio.Queue[E] = asyncio.Queue()
        self._signal: signal.Signals | None = None
        self._task = self._loop.create_task(
            work(self._queue.put_nowait), context=contextvars.copy_context()
        )
        self._handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self._interrupt, number)

    def events(self) -> Generator[E, None, R]:
        while (event := self._runner.run(self._next())) is not None:
            yield event[0]
        if self._signal is not None:
            raise _SIGNALS[self._signal]
        return self._task.result()

    def close(self) -> None:
        if not self._task.done():
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._task)
        for number, handler in self._handlers.items():
            self._loop.remove_signal_handler(number)
            signal.signal(number, handler)

    async def _next(self) -> tuple[E] | None:
        """The next event in a tuple, or None at the end."""
        if self._queue.empty():
            get = self._loop.create_task(self._queue.get())
            await asyncio.wait({get, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if get.done():
                return (get.result(),)
            get.cancel()
            await asyncio.wait({get})
            if not get.cancelled():
                return (get.result(),)
        return None if self._queue.empty() else (self._queue.get_nowait(),)

    def _interrupt(self, number: signal.Signals) -> None:
        if self._signal is not None:  # the second one: whoever asks twice means it
            last_words(number)
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._signal = number
        self._task.cancel(number.name)
