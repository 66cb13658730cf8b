"""History beside the event loop: one thread works in a store, and what it has begun it finishes."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Self, TypeVar

from mlxk.contract import notes

if TYPE_CHECKING:
    from mlxk.history.session import Session
    from mlxk.history.store import Store

T = TypeVar("T")


class Scribe:
    """Works in `store` and its sessions, one thing after the other, in the order it is asked.

    While it lives nobody else does: neither a store nor a session may be in two threads at once.
    """

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, "history")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.shutdown()

    async def do(self, work: Callable[["Store"], T]) -> T:
        """`work` in the thread, to its end (see `finished`); the notes it leaves come from here."""
        left: list[notes.Note] = []

        def inside() -> T:
            with notes.collecting() as found:
                try:
                    return work(self._store)
                finally:
                    left.extend(found)

        try:
            return await finished(asyncio.get_running_loop().run_in_executor(self._thread, inside))
        finally:
            for each in left:
                notes.note(each.code, each.message, each.pointer)

    @asynccontextmanager
    async def holding(
        self, make: Callable[["Store"], "Session"]
    ) -> AsyncGenerator["Session", None]:
        """The session that `make` makes or opens, closed in the end.

        Of a new one that an error ends before its first step nothing remains.
        """
        made: list[Session] = []
        try:
            await self.do(lambda store: made.append(make(store)))
            yield made[0]
        except BaseException:
            if made:
                await self.do(lambda _: made[0].withdraw())
            raise
        await regardless(self.do(lambda _: made[0].close()))


async def finished(work: Awaitable[T]) -> T:
    """Its result. Whoever is cancelled meanwhile is so when it is done, not before."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    result = await regardless(work)
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
    return result


async def regardless(work: Awaitable[T]) -> T:
    """Its result, also for whoever is cancelled meanwhile: `Task.cancelling` still tells."""
    future = asyncio.ensure_future(work)
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({future})
    return future.result()
