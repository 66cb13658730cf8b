"""Responses over a WebSocket: one request after another on a connection that remembers them."""

import asyncio
from contextlib import suppress
from dataclasses import replace

from aiohttp import WSMsgType, web

from mlxk.chat.fold import Fold, Reply
from mlxk.chat.types import Event, Finish, Start
from mlxk.contract import encoding
from mlxk.contract.errors import InvalidValue, MlxkError, OverCapacity
from mlxk.server.answers import told
from mlxk.server.body import understood
from mlxk.server.failures import outcome
from mlxk.server.record import passed, record
from mlxk.server.responses import Responses
from mlxk.server.state import STATE
from mlxk.wire import openai
from mlxk.wire.frames import Asked, Encoder, Frame
from mlxk.wire.openai_responses import FORMAT

_WAITING = 16
_REMEMBERED, _REMEMBERED_BYTES = 64, 64 << 20


async def converse(http: web.Request) -> web.StreamResponse:
    """What the client sends is read while an answer is made: that is how its leaving is seen."""
    ws = web.WebSocketResponse(max_msg_size=http.app[STATE].options.body_bytes)
    if not ws.can_prepare(http).ok:
        raise web.HTTPMethodNotAllowed("GET", ["POST"])
    await ws.prepare(http)
    passed(FORMAT)
    connection = Connection(http, ws)
    answering = asyncio.create_task(connection.answer_all())
    try:
        async for message in ws:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await connection.take(message.data)
    finally:
        answering.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await answering
    return ws


class Connection:
    """Remembers its own conversations, also those that are not to be kept for others.

    `_begun` is the encoder of an answer whose first event has been sent.
    """

    def __init__(self, http: web.Request, ws: web.WebSocketResponse) -> None:
        self._http = http
        self._ws = ws
        self._state = http.app[STATE]
        self._own = Responses(_REMEMBERED, _REMEMBERED_BYTES)
        self._waiting: asyncio.Queue[str | bytes] = asyncio.Queue(_WAITING)
        self._time = asyncio.get_running_loop().time
        self._sent = 0.0
        self._begun: Encoder | None = None

    async def take(self, text: str | bytes) -> None:
        try:
            self._waiting.put_nowait(text)
        except asyncio.QueueFull:
            error = OverCapacity("too many requests wait on this connection")
            await self._send([_refusal(error, error.http_status)])

    async def answer_all(self) -> None:
        while True:
            text, self._begun = await self._waiting.get(), None
            began, status = self._time(), 200
            failure = await outcome(self._answer(text))
            if failure is not None:
                error, status = failure
                encoder = self._begun
                await self._send(encoder.fail(error) if encoder else [_refusal(error, status)])
            record(self._http, status, self._time() - began)

    async def _answer(self, text: str | bytes) -> None:
        body = encoding.loads(text, "the message")
        if not isinstance(body, dict) or body.get("type") != "response.create":
            raise InvalidValue("a message is an object of type response.create", pointer="/type")
        warm = body.get("generate") is False
        fields = {name: v for name, v in body.items() if name not in ("type", "generate")}
        asked = await understood(FORMAT.decode_request, fields, len(text))
        asked = replace(self._continued(asked), stream=True)
        if warm:
            asked = replace(asked, request=replace(asked.request, max_tokens=1))
        encoder = FORMAT.encoder(asked, self._state.now)
        beat = asyncio.create_task(self._keep_alive(encoder))
        try:
            await self._tell(asked, encoder, warm=warm)
        finally:
            beat.cancel()

    def _continued(self, asked: Asked) -> Asked:
        own = asked.previous in self._own
        return (self._own if own else self._state.responses).continued(asked)

    async def _tell(self, asked: Asked, encoder: Encoder, *, warm: bool) -> None:
        """To warm up is to read the prompt: the token that comes with it is dropped."""
        fold = Fold()
        async with told(self._http, asked) as (asked, events):
            async for _, event in events:
                kept = _warmed(event) if warm else event
                if kept is not None:
                    fold.feed(kept)
                    self._begun = encoder
                    await self._send(encoder.feed(kept))
        if (reply := fold.reply) is not None:
            self._keep(asked, reply)

    def _keep(self, asked: Asked, reply: Reply) -> None:
        body = FORMAT.encode_replies([reply], asked, self._state.now)
        self._own.keep(asked, reply, body)
        if asked.kept:
            self._state.responses.keep(asked, reply, body)

    async def _send(self, frames: list[Frame]) -> None:
        """A reader who does not read is cut off."""
        try:
            async with asyncio.timeout(self._state.options.stalled_s):
                for frame in frames:
                    if frame.data is not None:
                        await self._ws.send_str(encoding.dumps(frame.data).decode())
        except TimeoutError as e:
            if self._http.transport is not None:
                self._http.transport.abort()
            raise ConnectionResetError("the reader did not read") from e
        self._sent = self._time()

    async def _keep_alive(self, encoder: Encoder) -> None:
        pause = self._state.options.heartbeat_s
        with suppress(ConnectionError):
            while True:
                await asyncio.sleep(pause)
                if self._time() - self._sent >= pause:
                    await self._send([encoder.heartbeat])


def _refusal(error: MlxkError, status: int) -> Frame:
    """Clients look for its parts at either place."""
    about = openai.encode_error(error, status)["error"]
    return Frame({**about, "type": "error", "status": status, "error": about, "sequence_number": 0})


def _warmed(event: Event) -> Event | None:
    match event:
        case Start():
            return event
        case Finish(_, usage):
            return Finish("stop", replace(usage, completion_tokens=0))
        case _:
            return None
