"""The one place where a failure of a request becomes an error and a status, bugs included."""

import logging
from collections.abc import Awaitable
from typing import TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from mlxk.contract.errors import InternalError, InvalidValue, MlxkError, NotFound, UsageError

T = TypeVar("T")
_log = logging.getLogger(__name__)
_NO_HTTP = (HttpProcessingError, web.RequestPayloadError)


def log() -> logging.Logger:
    """For aiohttp. What is no HTTP at all is answered with 400: nothing to tell the owner about."""
    _log.addFilter(_is_ours)
    return _log


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], _NO_HTTP))


async def outcome(work: Awaitable[T]) -> T | tuple[MlxkError, int]:
    """What `work` returns, or why it failed. Who has left is told nothing."""
    try:
        return await work
    except ConnectionError:
        raise
    except Exception as e:  # noqa: BLE001 -- the boundary: bugs get an error body too
        return _translated(e)


def _translated(e: Exception) -> tuple[MlxkError, int]:
    match e:
        case MlxkError():
            return e, e.http_status
        case web.HTTPNotFound():
            hint = "GET /v1/schema says what is"
            return NotFound("nothing is served at this path", hint=hint), 404
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(e.allowed_methods))
            message = f"{e.method} is not allowed here, only {allowed}"
            return UsageError(message, allowed=allowed), 405
        case web.HTTPRequestEntityTooLarge():
            return InvalidValue("the request body is too large"), 413
        case web.RequestPayloadError():
            return InvalidValue("the request body is not what its headers say"), 400
        case web.HTTPException():
            return InvalidValue(e.reason), e.status
    _log.error("a request met a bug", exc_info=e)
    return InternalError(f"{type(e).__name__}: {e}"), 500
