"""History beside the event loop: one thread works in a store, and what it has begun it finishes."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from threading import Event
from typing import TYPE_CHECKING, Self, TypeVar

from mlxk.contract import notes
from mlxk.contract.errors import Interrupted

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

    async def do(
        self, work: Callable[["Store"], T], stop: Callable[[], object] = lambda: None
    ) -> T:
        """`work` in the thread, to its end (see `finished`); the notes it leaves come from here."""
        left: list[notes.Note] = []

        def inside() -> T:
            with notes.collecting() as found:
                try:
                    return work(self._store)
                finally:
                    left.extend(found)

        try:
            begun = asyncio.get_running_loop().run_in_executor(self._thread, inside)
            return await finished(begun, stop)
        finally:
            for each in left:
                notes.note(each.code, each.message, each.pointer)

    async def make(self, make: Callable[["Store"], T], undo: Callable[[T], object]) -> T:
        """What `make` makes. Whoever is cancelled meanwhile has none of it: the making stops where
        it is, and what was made all the same is undone.
        """
        made: list[T] = []
        stop = Event()

        def work(store: "Store") -> None:
            store.given_up = stop  # for as long as the thread does nothing else
            try:
                made.append(make(store))
            finally:
                store.given_up = Event()

        try:
            await self.do(work, stop.set)
        except BaseException:
            if made:
                await self.do(lambda _: undo(made[0]))
            raise
        return made[0]

    @asynccontextmanager
    async def holding(
        self, make: Callable[["Store"], "Session"]
    ) -> AsyncGenerator["Session", None]:
        """The session that `make` makes or opens, closed in the end.

        Of a new one that an error ends before its first step nothing remains.
        """
        session = await self.make(make, lambda made: made.withdraw())
        try:
            yield session
        except BaseException:
            await self.do(lambda _: session.withdraw())
            raise
        await regardless(self.do(lambda _: session.close()))


async def finished(work: Awaitable[T], stop: Callable[[], object] = lambda: None) -> T:
    """Its result. Whoever is cancelled meanwhile is so when it is done, not before; `stop` is told,
    and may end it with Interrupted.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        result = await regardless(work, stop)
    except Interrupted:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError from None
        raise
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
    return result


async def regardless(work: Awaitable[T], stop: Callable[[], object] = lambda: None) -> T:
    """Its result, also for whoever is cancelled meanwhile: `Task.cancelling` still tells."""
    future = asyncio.ensure_future(work)
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError:
            stop()
    return future.result()
