"""Servers that live as long as a test."""

from contextlib import AsyncExitStack

import aiohttp

from mlxk.server.app import listening, make_app
from mlxk.server.state import ServerOptions


class Servers:
    """Start as many as a test needs; all of them listen on free ports of the loopback."""

    def __init__(self, stack):
        self._stack = stack

    async def __call__(self, models, **options):
        named = models if isinstance(models, dict) else {"m": models}
        app = make_app(named, ServerOptions(**options))
        address = await self._stack.enter_async_context(listening(app, 0))
        http = aiohttp.ClientSession(f"http://127.0.0.1:{address.port}")
        return await self._stack.enter_async_context(http)


def stack():
    return AsyncExitStack()
