"""The session that a tab holds, with a store and a scribe of its own."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

from mlxk.agent.scribe import Scribe, regardless
from mlxk.agent.settings import Settings
from mlxk.contract.errors import UsageError
from mlxk.history.record import Place, find
from mlxk.history.session import Session
from mlxk.history.store import Store

T = TypeVar("T")
Made = tuple[Session, Settings]


class Held:
    """At most one session, held until it is let go."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        self._home = home
        self._stack = AsyncExitStack()
        self._scribe: Scribe | None = None
        self._opening: asyncio.Task[Settings] | None = None
        self.session: Session | None = None

    def required(self) -> tuple[Session, Scribe]:
        if self.session is None or self._scribe is None:
            raise UsageError("this tab has no session yet", hint="the first prompt starts one")
        return self.session, self._scribe

    async def open(self, make: Callable[[Store], Made], *, keep: bool = True) -> Settings:
        """Make or open it, unless that has begun. A caller that stops waiting does not lose it.

        Without `keep` nothing remains of a new one that has no step when it is let go.
        """
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open(make, keep))
        return await asyncio.shield(self._opening)

    async def let_go(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        self.session, self._scribe = None, None
        await self._stack.aclose()

    async def write(self, work: Callable[[Session], T]) -> T:
        """Work in the session, after what is being done in it."""
        session, scribe = self.required()
        return await scribe.do(lambda _: work(session))

    async def read(self, look: Callable[[Store, Place], T]) -> T:
        """Look at the session's last step, beside whoever is writing the next one."""
        session = self.required()[0].id

        def work() -> T:
            with Store.open(self._folder, self._home) as store:
                return look(store, find(store, session))

        return await asyncio.to_thread(work)

    async def _open(self, make: Callable[[Store], Made], keep: bool) -> Settings:
        store = await regardless(asyncio.to_thread(Store.open, self._folder, self._home))
        async with AsyncExitStack() as stack:
            scribe = stack.enter_context(Scribe(stack.enter_context(store)))
            session, settings = await scribe.make(make, lambda made: made[0].withdraw())
            end = session.close if keep else session.withdraw
            stack.push_async_callback(scribe.do, lambda _: end())
            self.session, self._scribe, self._stack = session, scribe, stack.pop_all()
        return settings
