"""HTTP over a mapping of names to chat models. Knows neither engine nor MLX."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp import web

from mlxk.chat.model import ChatModel
from mlxk.server import chat_routes, model_routes
from mlxk.server.failures import log
from mlxk.server.middleware import errors, guard
from mlxk.server.origins import let_read
from mlxk.server.record import name_response, recorded
from mlxk.server.state import STATE, ServerOptions, ServerState
from mlxk.system import network
from mlxk.system.clock import Clock, now


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @property
    def url(self) -> str:
        return network.url(self.host, self.port)


def make_app(
    models: Mapping[str, ChatModel], options: ServerOptions | None = None, clock: Clock = now
) -> web.Application:
    options = options or ServerOptions()
    app = web.Application(middlewares=[recorded, errors, guard], client_max_size=options.body_bytes)
    began = time.monotonic()
    app[STATE] = ServerState(models, options, clock, lambda: time.monotonic() - began)
    app.on_response_prepare.extend((name_response, let_read))
    app.add_routes([*chat_routes.routes(), *model_routes.routes()])
    return app


@asynccontextmanager
async def listening(app: web.Application, port: int) -> AsyncGenerator[Address, None]:
    """Serve until the block ends, which cuts what is still running: see `drain`."""
    options = app[STATE].options
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2, logger=log()
    )
    await runner.setup()
    try:
        with network.translated(port):
            await web.TCPSite(runner, options.host, port, backlog=1024).start()
        host, bound = runner.addresses[0][:2]
        yield Address(host, bound)
    finally:
        await runner.cleanup()


async def drain(app: web.Application, *, patient: bool) -> None:
    """Begin no new answers and wait for those that are being made, within limits."""
    state = app[STATE]
    state.draining = True
    limit = state.options.drain_s if patient else state.options.hurry_s
    with suppress(TimeoutError):
        async with asyncio.timeout(limit):
            await state.idle.wait()
