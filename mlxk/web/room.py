"""What all requests share: the desk, what was read of the past, and the pages that are open."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web

from mlxk.agent.desk import Desk
from mlxk.agent.desk_tab import Tab
from mlxk.contract.errors import MlxkError, NotFound
from mlxk.web.conversation import Stages
from mlxk.web.news import Watch
from mlxk.web.overview import Overviews

_REST_S = 120.0


@dataclass(slots=True)
class Room:
    desk: Desk
    watch: Watch
    first: int | None = None
    overviews: Overviews = field(default_factory=Overviews)
    stages: Stages = field(default_factory=Stages)
    sockets: set[web.WebSocketResponse] = field(default_factory=set)
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    used: dict[int, float] = field(default_factory=dict)

    @contextmanager
    def reading(self, socket: web.WebSocketResponse) -> Iterator[None]:
        self.sockets.add(socket)
        self.watch.readers += 1
        try:
            yield
        finally:
            self.watch.readers -= 1
            self.sockets.discard(socket)

    def known(self, spec: str) -> Tab:
        """The tab of a session, or `tab-3`, which may have none yet. NotFound."""
        if spec.startswith("tab-") and spec[4:].isdigit():
            return self.desk.tab(int(spec[4:]))
        for tab in self.desk.tabs:
            if tab.session == spec:
                return tab
        raise NotFound("nothing runs in this session", hint="give it a prompt")

    async def tab(self, spec: str) -> Tab:
        """The tab of a session, opened when it is not: two requests at once open one."""
        async with self.opening:
            try:
                tab = self.known(spec)
            except NotFound:
                tab = await self.desk.open(spec)
            self.used[tab.id] = time.monotonic()
            return tab

    async def let_go(self) -> None:
        """Whatever has rested for long may be written by other programs again."""
        while True:
            await asyncio.sleep(_REST_S / 10)
            async with self.opening:
                await self._close_resting(time.monotonic())

    async def _close_resting(self, now: float) -> None:
        for tab in tuple(self.desk.tabs):
            if tab.state not in ("idle", "interrupted") or tab.session is None:
                self.used[tab.id] = now
            elif now - self.used.setdefault(tab.id, now) > _REST_S:
                with suppress(OSError, MlxkError):  # it is closed whatever could not be told
                    await tab.close()


ROOM = web.AppKey("room", Room)
