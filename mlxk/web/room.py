"""What all requests share: the desk, what was read of the past, and the pages that are open."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from mlxk.agent.desk import Desk
from mlxk.agent.desk_tab import Tab
from mlxk.contract.errors import NotFound
from mlxk.web.news import Watch
from mlxk.web.overview import Overviews


@dataclass(slots=True)
class Room:
    desk: Desk
    watch: Watch
    overviews: Overviews = field(default_factory=Overviews)
    sockets: set[web.WebSocketResponse] = field(default_factory=set)
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)

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
                return self.known(spec)
            except NotFound:
                return await self.desk.open(spec)


ROOM = web.AppKey("room", Room)
