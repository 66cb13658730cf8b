"""From a request that was understood to the bytes of its answer, streamed or whole."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

from aiohttp import web

from mlxk.chat.fold import Fold, Reply
from mlxk.chat.model import ChatModel
from mlxk.chat.types import Event, Request
from mlxk.contract.errors import EngineFailed, InvalidValue
from mlxk.server.body import reply_json
from mlxk.server.choices import Stream, interleaved
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


async def answer(
    http: web.Request, form: Format, asked: Asked, headers: dict[str, str]
) -> web.StreamResponse:
    state = http.app[STATE]
    name, model = state.pick(asked.request.model)
    asked = replace(asked, request=replace(asked.request, model=name))
    http[METER] = Meter(state.metrics, name, asyncio.get_running_loop().time)
    if asked.keep_alive_s is not None and isinstance(model, Resident):
        model.stay(asked.keep_alive_s)
    with state.counted():
        streams = await _streams(model, asked)
        if asked.stream:
            return await _stream(http, form, asked, streams, headers)
        return await _whole(http, form, asked, streams, headers)


async def _stream(
    http: web.Request, form: Format, asked: Asked, streams: list[Stream], headers: dict[str, str]
) -> web.StreamResponse:
    state = http.app[STATE]
    encoder, kept, meter = form.encoder(asked, state.now), _Kept(asked), http[METER]
    async with (
        Outlet(http, encoder, _EVENT_STREAM | headers) as outlet,
        aclosing(interleaved(streams)) as events,
    ):
        async for choice, event in events:
            meter.feed(event, choice)
            kept.feed(event)
            await outlet.tell(event, choice)
    kept.keep(http, form)
    return outlet.response


async def _whole(
    http: web.Request, form: Format, asked: Asked, streams: list[Stream], headers: dict[str, str]
) -> web.Response:
    folds = [Fold() for _ in range(asked.choices)]
    async with aclosing(interleaved(streams)) as events:
        async for choice, event in events:
            http[METER].feed(event, choice)
            folds[choice].feed(event)
    replies = [_reply(fold) for fold in folds]
    body = form.encode_replies(replies, asked, http.app[STATE].now)
    if asked.kept:
        http.app[STATE].responses.keep(asked.request, replies[0], body)
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
            state.responses.keep(self._asked.request, reply, body)


async def _streams(model: ChatModel, asked: Asked) -> list[Stream]:
    if not asked.prompts:
        return [model.stream(_choice(asked.request, n)) for n in range(asked.choices)]
    if not isinstance(model, Local):
        raise InvalidValue(f"{asked.request.model!r} takes no raw prompts")
    each = asked.choices // len(asked.prompts)
    texts = [p if isinstance(p, str) else await model.decode(list(p)) for p in asked.prompts]
    return [
        model.complete(_choice(asked.request, n % each), texts[n // each])
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
