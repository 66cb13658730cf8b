"""Which web pages may ask this server, and what a browser wants to hear before it lets them."""

from urllib.parse import urlsplit

from aiohttp import web

from mlxk.contract.errors import PermissionDenied
from mlxk.server.state import STATE
from mlxk.system.network import hostname, is_loopback

_ORIGIN = web.RequestKey("origin", str)
_READABLE = "X-Request-Id, Request-Id, Mlxk-Warning, Mlxk-Error, Retry-After"


def admit(http: web.Request) -> None:
    """A page of this machine, of this server, or one that was allowed; else PermissionDenied."""
    origin = http.headers.get("Origin")
    if origin is None:
        return
    allowed = http.app[STATE].options.origins
    if not ({origin, "*"} & allowed or _is_near(origin, http.headers.get("Host", ""))):
        hint = "mlxk serve --allow-origin ORIGIN"
        raise PermissionDenied(f"requests from {origin!r} are not answered", hint=hint)
    http[_ORIGIN] = origin


def asks_first(http: web.Request) -> bool:
    """A browser asks so before it sends what a page wants to send; it never names a key."""
    wanted = "Access-Control-Request-Method" in http.headers
    return http.method == "OPTIONS" and _ORIGIN in http and wanted


def permission(http: web.Request) -> web.Response:
    headers = {"Access-Control-Allow-Methods": "GET, POST, DELETE", "Access-Control-Max-Age": "600"}
    if (wanted := http.headers.get("Access-Control-Request-Headers")) is not None:
        headers["Access-Control-Allow-Headers"] = wanted
    return web.Response(status=204, headers=headers)


async def let_read(http: web.Request, response: web.StreamResponse) -> None:
    """Without these a browser keeps the answer from the page that asked."""
    if (origin := http.get(_ORIGIN)) is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _READABLE
        response.headers["Vary"] = "Origin"


def _is_near(origin: str, host: str) -> bool:
    try:
        return is_loopback(hostname(origin)) or (bool(host) and urlsplit(origin).netloc == host)
    except ValueError:  # `http://[` is no origin
        return False
