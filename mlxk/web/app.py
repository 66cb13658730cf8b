"""The server of the page: its routes and guards, on a loopback address. Composes nothing else."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import WSCloseCode, web

from mlxk.agent.desk import Desk
from mlxk.server.failures import log
from mlxk.system import network
from mlxk.web import acting, looking, pages
from mlxk.web.access import ACCESS, ENTRY, Access, errors, guard, protect
from mlxk.web.news import Watch
from mlxk.web.room import ROOM, Room

HOST = "127.0.0.1"
_BODY_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Address:
    """`link` lets one browser in, once."""

    port: int
    link: str

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/"


def make_app(desk: Desk, *, first: int | None = None) -> web.Application:
    """`first`: the tab that a page begins with."""
    app = web.Application(middlewares=[errors, guard], client_max_size=_BODY_BYTES)
    app[ACCESS] = Access()
    app[ROOM] = Room(desk, Watch(desk), first)
    app.on_response_prepare.append(protect)
    app.on_shutdown.append(_close_pages)
    app.add_routes([*pages.routes(), *looking.routes(), *acting.routes()])
    return app


@asynccontextmanager
async def listening(app: web.Application, port: int) -> AsyncGenerator[Address, None]:
    """Serve until the block ends. PortConflict."""
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, shutdown_timeout=0.5, logger=log()
    )
    await runner.setup()
    behind = [asyncio.create_task(w) for w in (app[ROOM].watch.run(), app[ROOM].let_go())]
    try:
        with network.translated(port):
            await web.TCPSite(runner, HOST, port).start()
        bound = runner.addresses[0][1]
        link = f"http://{HOST}:{bound}{ENTRY}?token={app[ACCESS].new_token()}"
        yield Address(bound, link)
    finally:
        for task in behind:
            task.cancel()
        await runner.cleanup()


async def _close_pages(app: web.Application) -> None:
    for socket in tuple(app[ROOM].sockets):
        await socket.close(code=WSCloseCode.GOING_AWAY)
