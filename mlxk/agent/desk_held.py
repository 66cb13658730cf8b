"""The session that a tab holds, with a store of its own. What takes time happens in a thread."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mlxk.agent import branches
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
        self._store: Store | None = None
        self._opening: asyncio.Task[Settings] | None = None
        self.session: Session | None = None

    def required(self) -> Session:
        if self.session is None:
            raise UsageError("this tab has no session yet", hint="the first prompt starts one")
        return self.session

    async def open(self, make: Callable[[Store], Made]) -> Settings:
        """Make or open it. A caller that stops waiting does not lose it."""
        self._opening = asyncio.create_task(self._open(make))
        return await asyncio.shield(self._opening)

    async def let_go(self) -> None:
        if self._opening is not None:
            await asyncio.wait({self._opening})
        session, store, self.session, self._store = self.session, self._store, None, None
        if session is not None:
            await asyncio.to_thread(session.close)
        if store is not None:
            store.close()

    async def read(self, look: Callable[[Store, Place], T]) -> T:
        """Look at the session's last step, beside whoever is writing the next one."""
        session = self.required().id

        def work() -> T:
            with Store.open(self._folder, self._home) as store:
                return look(store, find(store, session))

        return await asyncio.to_thread(work)

    def was_cut_off(self) -> bool:
        return self.session is not None and branches.rest(self.session.record) == "interrupted"

    async def _open(self, make: Callable[[Store], Made]) -> Settings:
        store = await asyncio.to_thread(Store.open, self._folder, self._home)
        try:
            self.session, settings = await asyncio.to_thread(make, store)
        except BaseException:
            store.close()
            raise
        self._store = store
        return settings
