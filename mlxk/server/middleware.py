"""What happens around every route: who may ask, and errors in the asked format."""

import hmac
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from mlxk.contract.errors import MlxkError, PermissionDenied, Unauthorized
from mlxk.server import origins
from mlxk.server.body import reply_json
from mlxk.server.chat_routes import dialect
from mlxk.server.failures import outcome
from mlxk.server.outlet import OUTLET, Outlet
from mlxk.server.state import STATE
from mlxk.system.network import hostname, is_loopback

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_OPEN_PATHS = {"/", "/health", "/ready", "/version"}
_log = logging.getLogger(__name__)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A failure becomes a status and a body, or the end of a stream."""
    answer = await outcome(handler(request))
    if isinstance(answer, web.StreamResponse):
        return answer
    error, status = answer
    outlet: Outlet | None = request.get(OUTLET)
    if outlet is not None and outlet.is_open:
        await outlet.fail(error)
        return outlet.response
    return _refusal(request, error, status)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A web page that the user visits must not reach a server on the user's own machine."""
    options = request.app[STATE].options
    local = is_loopback(options.host)
    host = request.headers.get("Host", "")
    if local and host and not is_loopback(hostname(f"//{host}")):
        raise PermissionDenied(f"the host name {host!r} is not served on a loopback address")
    origins.admit(request)
    if origins.asks_first(request):
        return origins.permission(request)
    if options.api_key is not None and request.path not in _OPEN_PATHS:
        _check_key(request, options.api_key)
    return await handler(request)


def _check_key(http: web.Request, key: str) -> None:
    said = http.headers.get("Authorization", "")
    scheme, _, token = said.partition(" ")
    named = (http.headers.get("x-api-key"), http.headers.get("x-goog-api-key"))
    bearer = token if scheme.lower() == "bearer" else said
    given = [bearer, *(value for value in (*named, http.query.get("key")) if value)]
    matches = [
        hmac.compare_digest(value.encode("utf-8", "replace"), key.encode()) for value in given
    ]
    if not any(matches):
        raise Unauthorized("this server asks for an API key, and none or a wrong one was sent")


def _refusal(http: web.Request, error: MlxkError, status: int) -> web.Response:
    headers = {"Mlxk-Error": error.type}
    headers |= {"Allow": error.details["allowed"]} if status == 405 else {}
    headers |= {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    headers |= {"Retry-After": "1"} if error.retryable and status in (429, 503) else {}
    return reply_json(dialect(http).encode_error(error, status), status=status, headers=headers)
