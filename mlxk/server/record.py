"""Around every request: its id, its figures, its line in the log."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp import web

from mlxk.server.metrics import Meter, log_line
from mlxk.server.outlet import OUTLET, Outlet
from mlxk.server.state import STATE
from mlxk.system.clock import stamp
from mlxk.wire import openai_chat
from mlxk.wire.frames import Format

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Passage:
    """One request on its way: in which format it came, and which deployment answered it."""

    id: str
    form: Format = openai_chat.FORMAT
    answered_by: str | None = None


# For models that pass a request on: they are given the request alone.
PASSAGE: ContextVar[Passage | None] = ContextVar("passage", default=None)


def passed(form: Format) -> None:
    """In which format this request came."""
    if (passage := PASSAGE.get()) is not None:
        passage.form = form


METER = web.RequestKey("meter", Meter)
REQUEST_ID = web.RequestKey("request_id", str)
_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
_LEFT = 499


@web.middleware
async def recorded(request: web.Request, handler: Handler) -> web.StreamResponse:
    time = asyncio.get_running_loop().time
    given, began = request.headers.get("X-Request-Id", ""), time()
    id = request[REQUEST_ID] = given if _ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"
    PASSAGE.set(Passage(id))
    status = _LEFT
    try:
        response = await handler(request)
        status = response.status
        return response
    except ConnectionError:
        # The reader has left while something was written: nobody is there to be told.
        outlet: Outlet | None = request.get(OUTLET)
        if outlet is None or not outlet.is_open:
            raise
        return outlet.response
    finally:
        record(request, status, time() - began)


async def name_response(request: web.Request, response: web.StreamResponse) -> None:
    """Each dialect looks for the id under a name of its own."""
    if REQUEST_ID in request:
        response.headers["X-Request-Id"] = response.headers["Request-Id"] = request[REQUEST_ID]


def record(request: web.Request, status: int, seconds: float) -> None:
    """A socket carries many answers: each is told once, with figures of its own."""
    state = request.app[STATE]
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    state.metrics.requests.labels(route, str(status)).inc()
    state.metrics.seconds.labels(route).observe(seconds)
    if state.options.log is not None:
        facts = {
            "time": stamp(state.clock()),
            "id": request[REQUEST_ID],
            "method": request.method,
            "path": request.path[:200],
            "status": status,
            "seconds": round(seconds, 4),
        }
        passage = PASSAGE.get()
        if passage is not None and passage.answered_by is not None:
            facts["answered_by"] = passage.answered_by
        state.options.log(log_line(facts, request.pop(METER, None)))
