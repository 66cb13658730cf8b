"""An event loop in a thread of its own, for a terminal that waits in `input()`."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Portal:
    """`stream` reads an asynchronous stream from outside the loop; `stop` ends that stream."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._stack = AsyncExitStack()
        self._reading: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.call(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def enter(self, context: Any) -> Any:
        """Enter an asynchronous context; it is left together with the portal."""
        return self.call(self._stack.enter_async_context(context))

    def stream(self, events: AsyncGenerator[T, None]) -> Iterator[T]:
        queue: SimpleQueue[tuple[T] | None] = SimpleQueue()

        async def read() -> None:
            self._reading = asyncio.current_task()
            try:
                async with aclosing(events):
                    async for event in events:
                        queue.put((event,))
            finally:
                self._reading = None
                queue.put(None)

        done = asyncio.run_coroutine_threadsafe(read(), self._loop)
        while (item := queue.get()) is not None:
            yield item[0]
        if not done.cancelled():
            done.result()

    def stop(self) -> None:
        """End the stream that is being read, if any: it simply ends."""
        if (reading := self._reading) is not None:
            self._loop.call_soon_threadsafe(reading.cancel)
