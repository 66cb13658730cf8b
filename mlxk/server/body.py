"""JSON in, within limits of size and time; JSON out."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from aiohttp import web

from mlxk.contract import encoding
from mlxk.server.state import STATE

T = TypeVar("T")
# What is shorter is understood sooner than a thread would begin with it.
_LARGE = 1 << 16


async def read_as(http: web.Request, decode: Callable[[Any], T]) -> T:
    """The request, as its format understands it."""
    body = await read_json(http)
    return await understood(decode, body, len(await http.read()))


async def understood(decode: Callable[[Any], T], body: Any, size: int) -> T:
    """To say what is wrong with megabytes takes seconds, in which others are still answered."""
    return decode(body) if size < _LARGE else await asyncio.to_thread(decode, body)


async def read_json(http: web.Request) -> Any:
    try:
        async with asyncio.timeout(http.app[STATE].options.body_s):
            data = await http.read()
    except TimeoutError as e:
        raise web.HTTPRequestTimeout from e
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _scrubbed(encoding.loads(data, "the request body"))


def reply_json(
    value: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=encoding.dumps(value, newline=True),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def _scrubbed(value: Any) -> Any:
    """Half a surrogate pair has no UTF-8 and would stop a tokenizer: `\\ud83d` becomes `?`."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case list():
            return [_scrubbed(item) for item in value]
        case dict():
            return {_scrubbed(key): _scrubbed(item) for key, item in value.items()}
        case _:
            return value
