"""From a request that was understood to the bytes of its answer, streamed or whole."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from aiohttp import web

from mlxk.chat.fold import Fold, Reply
from mlxk.chat.model import ChatModel
from mlxk.chat.types import Event, Request
from mlxk.contract.errors import EngineFailed, InvalidValue
from mlxk.server.body import reply_json
from mlxk.server.choices import Stream, interleaved, with_one_call
from mlxk.server.metrics import Meter
from mlxk.server.outlet import Outlet
from mlxk.server.record import METER
from mlxk.server.residency import Resident
from mlxk.server.state import STATE, Local
from mlxk.wire.frames import Asked, Format

_EVENT_STREAM = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


Events = AsyncGenerator[tuple[int, Event], None]


async def answer(
    http: web.Request, form: Format, asked: Asked, headers: dict[str, str]
) -> web.StreamResponse:
    async with told(http, asked) as (asked, events):
        if asked.stream:
            return await _stream(http, form, asked, events, headers)
        return await _whole(http, form, asked, events, headers)


@asynccontextmanager
async def told(http: web.Request, asked: Asked) -> AsyncIterator[tuple[Asked, Events]]:
    """The request under its model's own name, and the events of its choices, counted."""
    state = http.app[STATE]
    name, model = state.pick(asked.request.model)
    asked = replace(asked, request=replace(asked.request, model=name, client=http.remote))
    http[METER] = Meter(state.metrics, name, asyncio.get_running_loop().time)
    if asked.keep_alive_s is not None and isinstance(model, Resident):
        model.stay(asked.keep_alive_s)
    with state.counted():
        streams = _streams(model, asked)
        if asked.one_call:
            streams = [with_one_call(stream) for stream in streams]
        async with aclosing(_metered(interleaved(streams), http[METER])) as events:
            yield asked, events


async def _metered(events: Events, meter: Meter) -> Events:
    async with aclosing(events):
        async for choice, event in events:
            meter.feed(event, choice)
            yield choice, event


async def _stream(
    http: web.Request, form: Format, asked: Asked, events: Events, headers: dict[str, str]
) -> web.StreamResponse:
    encoder, kept = form.encoder(asked, http.app[STATE].now), _Kept(asked)
    async with Outlet(http, encoder, _EVENT_STREAM | headers) as outlet:
        async for choice, event in events:
            kept.feed(event)
            await outlet.tell(event, choice)
    kept.keep(http, form)
    return outlet.response


async def _whole(
    http: web.Request, form: Format, asked: Asked, events: Events, headers: dict[str, str]
) -> web.Response:
    folds = [Fold() for _ in range(asked.choices)]
    async for choice, event in events:
        folds[choice].feed(event)
    replies = [_reply(fold) for fold in folds]
    body = form.encode_replies(replies, asked, http.app[STATE].now)
    if asked.kept:
        http.app[STATE].responses.keep(asked, replies[0], body)
    return reply_json(body, headers=headers)


class _Kept:
    """Folds a streamed answer when it was asked to be kept."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._fold = Fold()

    def feed(self, event: Event) -> None:
        if self._asked.kept:
            self._fold.feed(event)

    def keep(self, http: web.Request, form: Format) -> None:
        state = http.app[STATE]
        if self._asked.kept and (reply := self._fold.reply) is not None:
            body = form.encode_replies([reply], self._asked, state.now)
            state.responses.keep(self._asked, reply, body)


def _streams(model: ChatModel, asked: Asked) -> list[Stream]:
    if not asked.prompts:
        return [model.stream(_choice(asked.request, n)) for n in range(asked.choices)]
    if not isinstance(model, Local):
        raise InvalidValue(f"{asked.request.model!r} takes no raw prompts")
    each = asked.choices // len(asked.prompts)
    return [
        model.complete(_choice(asked.request, n % each), asked.prompts[n // each])
        for n in range(asked.choices)
    ]


def _choice(request: Request, number: int) -> Request:
    """Each choice has a seed of its own, or all would be the same."""
    seed = request.sampling.seed
    if seed is None or number == 0:
        return request
    return replace(request, sampling=replace(request.sampling, seed=seed + number))


def _reply(fold: Fold) -> Reply:
    if fold.reply is None:
        raise EngineFailed("the answer ended without its end")
    return fold.reply
