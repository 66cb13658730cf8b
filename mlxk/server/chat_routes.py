"""Questions and answers: a route is a path and a wire format."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from aiohttp import web

from mlxk.chat.fold import Fold, Reply
from mlxk.chat.model import ChatModel
from mlxk.chat.types import Request
from mlxk.contract import encoding
from mlxk.contract.errors import EngineFailed
from mlxk.contract.notes import collecting
from mlxk.server.body import read_json
from mlxk.server.choices import Stream, interleaved
from mlxk.server.outlet import Outlet
from mlxk.server.state import STATE, ServerState
from mlxk.wire import openai_chat
from mlxk.wire.frames import Asked, Format

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CHAT_FORMATS: dict[str, Format] = {"/v1/chat/completions": openai_chat.FORMAT}
_EVENT_STREAM = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


def routes() -> list[web.RouteDef]:
    return [web.post(path, _answering(form)) for path, form in CHAT_FORMATS.items()]


def _answering(form: Format) -> Handler:
    async def handle(http: web.Request) -> web.StreamResponse:
        with collecting() as notes:
            asked = form.decode_request(await read_json(http))
        warnings = "; ".join(note.message for note in notes)
        headers = {"Mlxk-Warning": warnings} if warnings.isascii() and warnings else {}
        state = http.app[STATE]
        name, model = state.pick(asked.request.model)
        asked = replace(asked, request=replace(asked.request, model=name))
        with state.counted():
            if asked.stream:
                return await _stream(http, form, asked, model, headers)
            return await _whole(state, form, asked, model, headers)

    return handle


async def _stream(
    http: web.Request, form: Format, asked: Asked, model: ChatModel, headers: dict[str, str]
) -> web.StreamResponse:
    encoder = form.encoder(asked, http.app[STATE].now)
    async with (
        Outlet(http, encoder, _EVENT_STREAM | headers) as outlet,
        aclosing(interleaved(_streams(model, asked))) as events,
    ):
        async for choice, event in events:
            await outlet.tell(event, choice)
    return outlet.response


async def _whole(
    state: ServerState, form: Format, asked: Asked, model: ChatModel, headers: dict[str, str]
) -> web.Response:
    folds = [Fold() for _ in range(asked.choices)]
    async with aclosing(interleaved(_streams(model, asked))) as events:
        async for choice, event in events:
            folds[choice].feed(event)
    body = form.encode_replies([_reply(fold) for fold in folds], asked, state.now)
    return web.Response(body=encoding.dumps(body), content_type="application/json", headers=headers)


def _streams(model: ChatModel, asked: Asked) -> list[Stream]:
    return [model.stream(_choice(asked.request, n)) for n in range(asked.choices)]


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
