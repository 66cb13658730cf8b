"""The event stream to one reader. Knows bytes and time, no model."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from aiohttp import web

from mlxk.chat.types import Event
from mlxk.contract.errors import MlxkError
from mlxk.server.state import STATE
from mlxk.wire import sse
from mlxk.wire.frames import Encoder, Frame


class Outlet:
    """Opened by the first event, or when patience ends, so that early errors have a status.

    While nothing is said it sends heartbeats; a reader who does not read is cut off.
    """

    def __init__(self, http: web.Request, encoder: Encoder, headers: dict[str, str]) -> None:
        self.response = web.StreamResponse(headers=headers)
        self._http = http
        self._encoder = encoder
        self._options = http.app[STATE].options
        self._opening = asyncio.Lock()
        self._time = asyncio.get_running_loop().time
        self._written = self._time()
        self._writing = False
        http[OUTLET] = self

    @property
    def is_open(self) -> bool:
        return self.response.prepared

    async def tell(self, event: Event, choice: int = 0) -> None:
        await self._send(self._encoder.feed(event, choice))

    async def fail(self, error: MlxkError) -> None:
        await self._send(self._encoder.fail(error))
        await self.response.write_eof()

    async def _send(self, frames: list[Frame]) -> None:
        if not self.is_open:
            await self._open()
        if frames:
            self._writing, self._written = True, self._time()
            await self.response.write(b"".join([sse.encode(frame) for frame in frames]))
            self._writing, self._written = False, self._time()

    async def _open(self) -> None:
        async with self._opening:
            if not self.is_open:
                await self.response.prepare(self._http)

    async def __aenter__(self) -> Self:
        self._watch = asyncio.create_task(self._watched())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watch.cancel()
        with suppress(asyncio.CancelledError):
            await self._watch
        if error is None:
            await self.response.write_eof()

    async def _watched(self) -> None:
        await asyncio.sleep(self._options.patience_s)
        with suppress(ConnectionError):
            await self._open()
            while True:
                await self._rest()
                if not self._writing:
                    await self._send([self._encoder.heartbeat])
                elif self._time() - self._written >= self._options.stalled_s:
                    return self._cut()

    async def _rest(self) -> None:
        """Until a heartbeat is due or a write has been stuck for long."""
        limit = self._options.stalled_s if self._writing else self._options.heartbeat_s
        while (left := self._written + limit - self._time()) > 0:
            await asyncio.sleep(left)
            limit = self._options.stalled_s if self._writing else self._options.heartbeat_s

    def _cut(self) -> None:
        if self._http.transport is not None:
            self._http.transport.abort()


OUTLET = web.RequestKey("outlet", Outlet)
