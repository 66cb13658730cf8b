"""The web UI over a scripted model: real sockets, a real repository."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from mlxk.agent.compose import Model
from mlxk.agent.desk import Desk
from mlxk.agent.permissions import Permissions
from mlxk.agent.settings import Settings
from mlxk.engine.options import EngineStats
from mlxk.web.access import ACCESS
from mlxk.web.app import listening, make_app


class Room:
    """A desk, its server, and `http`: a client that can be let in."""

    def __init__(self, desk):
        self.desk = desk
        self._listening = AsyncExitStack()
        self.port = 0
        self.access = None

    async def listen(self):
        app = make_app(self.desk)
        app[ACCESS] = self.access = self.access or app[ACCESS]
        address = await self._listening.enter_async_context(listening(app, self.port))
        self.port, self.link = address.port, address.link
        self.url = f"http://127.0.0.1:{self.port}"

    async def close(self):
        await self._listening.aclose()

    @asynccontextmanager
    async def away(self):
        """Nobody listens for a while, and whoever did is cut off."""
        await self.close()
        yield
        await self.listen()

    def new_link(self):
        return f"{self.url}/enter?token={self.access.new_token()}"

    async def enter(self):
        async with self.http.get(self.link) as response:
            assert response.status == 200
        return self

    @property
    def key(self):
        """What only our own page knows."""
        return {"X-Mlxk": self.access.key}

    def news(self, **headers):
        """The web socket, as our own page opens it unless told otherwise."""
        protocols = ("mlxk", self.access.key)
        sent = {"Origin": self.url} | headers
        return self.http.ws_connect("/api/news", headers=sent, protocols=protocols)

    async def get(self, path):
        async with self.http.get(f"/api/{path}", headers=self.key) as response:
            return await response.json()

    async def post(self, path, body=None, status=200):
        async with self.http.post(f"/api/{path}", json=body or {}, headers=self.key) as response:
            value = await response.json()
            assert response.status == status, value
            return value

    async def finished(self, tab):
        """The session of a tab whose run has ended."""
        await self.desk.tab(tab).wait()
        return self.desk.tab(tab).session


@asynccontextmanager
async def opened(folder, home, model, *, permissions="workspace", context=4096):
    def stats():
        return EngineStats("ready", 0, 0, 0, silent_s=time.monotonic())

    @asynccontextmanager
    async def opener(_):
        async def ready():
            return context

        yield Model(model, ready=ready, stats=stats)

    settings = Settings("script", permissions=Permissions(permissions))
    async with Desk(folder, settings, home=home, opener=opener) as desk:
        room = Room(desk)
        await room.listen()
        jar = aiohttp.CookieJar(unsafe=True)
        try:
            async with aiohttp.ClientSession(room.url, cookie_jar=jar) as room.http:
                yield room
        finally:
            await asyncio.gather(*(tab.abort() for tab in desk.tabs))
            await room.close()
