"""Requests that only read: sessions, a conversation, changes, long outputs, the news."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from mlxk.agent import desk_look
from mlxk.contract.errors import InvalidValue
from mlxk.history.record import Place, Record, find
from mlxk.history.store import Store
from mlxk.hub import listing
from mlxk.web.access import reply
from mlxk.web.conversation import Compared, compared, conversation, whole
from mlxk.web.news import Page
from mlxk.web.room import ROOM

T = TypeVar("T")


def routes() -> list[web.RouteDef]:
    return [
        web.get("/api/hello", hello),
        web.get("/api/models", models),
        web.get("/api/news", news),
        web.get("/api/sessions", sessions),
        web.get("/api/sessions/{session}", one),
        web.get("/api/sessions/{session}/changes", changes),
        web.get("/api/sessions/{session}/output", output),
        web.get("/api/sessions/{session}/export", export),
    ]


async def hello(http: web.Request) -> web.Response:
    room = http.app[ROOM]
    settings = room.desk.settings
    mode = settings.permissions.mode
    return reply({"model": settings.model, "permissions": mode, "first": room.first})


async def models(_: web.Request) -> web.Response:
    """Names of the models on this machine, to choose from."""
    found = await asyncio.to_thread(listing.places)
    return reply({"models": sorted({place.name for place in found})})


async def news(http: web.Request) -> web.StreamResponse:
    room = http.app[ROOM]
    socket = web.WebSocketResponse(
        heartbeat=20, max_msg_size=1 << 10, compress=False, protocols=("mlxk",)
    )
    await socket.prepare(http)
    with room.reading(socket):
        await Page(socket, room.watch).serve()
    return socket


async def sessions(http: web.Request) -> web.Response:
    room = http.app[ROOM]
    own = {tab.session: tab.is_running for tab in room.desk.tabs if tab.session}
    return reply(await room.desk.reading(lambda store: room.overviews.look(store, own)))


async def one(http: web.Request) -> web.Response:
    return reply(await _at(http, lambda _, place: conversation(place, http.app[ROOM].stages)))


async def changes(http: web.Request) -> web.Response:
    """`step=N`: of that step; `against=SESSION`: between the two; else since the start."""
    step, against = http.query.get("step"), http.query.get("against")

    def look(store: Store, place: Place) -> Compared:
        if against:
            return compared(store, find(store, against).code, place.code)
        if step:
            return _of_step(place.record, _number(step))
        return compared(store, place.record.base, place.code)

    return reply(await _at(http, look))


async def output(http: web.Request) -> web.Response:
    step, call = _number(http.query.get("step", "")), http.query.get("call", "")
    text = await _at(http, lambda _, place: whole(place, step, call))
    return web.Response(text=text.encode(errors="replace").decode(), content_type="text/plain")


async def export(http: web.Request) -> web.Response:
    text = await _at(http, lambda _, place: desk_look.exported(place, raw=False))
    return web.Response(text=text.encode(errors="replace").decode(), content_type="text/plain")


async def _at(http: web.Request, look: Callable[[Store, Place], T]) -> T:
    name = http.match_info["session"]
    return await http.app[ROOM].desk.reading(lambda store: look(store, find(store, name)))


def _of_step(record: Record, number: int) -> Compared:
    """What one step changed; of the start: nothing."""
    code = record.at(number).code
    before = record.at(number - 1).code if number > 0 else code
    return compared(record.store, before, code)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise InvalidValue(f"{text!r} is no step")
    return int(text)
