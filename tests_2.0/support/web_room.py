"""The web UI over a scripted model: real sockets, a real repository."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp

from mlxk.agent.compose import Model
from mlxk.agent.desk import Desk
from mlxk.agent.permissions import Permissions
from mlxk.agent.settings import Settings
from mlxk.web.app import listening, make_app

OURS = {"X-Mlxk": "1"}


class Room:
    """A desk, its server, and `http`: a client that has been let in."""

    def __init__(self, desk, address, app):
        self.desk = desk
        self.app = app
        self.port = address.port
        self.url = f"http://127.0.0.1:{address.port}"
        self.link = address.link
        jar = aiohttp.CookieJar(unsafe=True)
        self.http = aiohttp.ClientSession(self.url, cookie_jar=jar)

    async def enter(self):
        async with self.http.get(self.link) as response:
            assert response.status == 200
        return self

    async def get(self, path):
        async with self.http.get(f"/api/{path}") as response:
            return await response.json()

    async def post(self, path, body=None, status=200):
        async with self.http.post(f"/api/{path}", json=body or {}, headers=OURS) as response:
            value = await response.json()
            assert response.status == status, value
            return value

    async def finished(self, tab):
        """The session of a tab whose run has ended."""
        await self.desk.tab(tab).wait()
        return self.desk.tab(tab).session


@asynccontextmanager
async def opened(folder, home, model, *, permissions="workspace", context=4096):
    @asynccontextmanager
    async def opener(_):
        async def ready():
            return context

        yield Model(model, ready=ready)

    settings = Settings("script", permissions=Permissions(permissions))
    async with Desk(folder, settings, home=home, opener=opener) as desk:
        app = make_app(desk)
        async with listening(app, 0) as address:
            room = Room(desk, address, app)
            async with room.http:
                yield room
                await asyncio.gather(*(tab.abort() for tab in desk.tabs))
