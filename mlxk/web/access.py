"""Who may talk to the page's server: the browser that was let in. Knows no sessions.

A page of somebody else in the same browser can send requests here; each of these stops it:
the host name (rebound DNS), the origin, the site that the browser names, a cookie that is never
sent from elsewhere, and a key in a header that other origins may not set. Browsers keep the key
for one port, while they show the cookie to every server on this address.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from mlxk.contract import encoding
from mlxk.contract.errors import PermissionDenied, Unauthorized
from mlxk.server.failures import outcome
from mlxk.system.network import hostname, is_loopback

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ENTRY = "/enter"
HEADER = "X-Mlxk"
# No script or style but our own files; nothing from elsewhere; no text ever becomes HTML.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Access:
    """Lets in who brings the token, once: in exchange for a pass that the browser keeps."""

    def __init__(self) -> None:
        self._token: str | None = None
        self._pass = secrets.token_urlsafe(32)
        self.key = secrets.token_urlsafe(32)

    def new_token(self) -> str:
        """For one entry; the one before is dead."""
        self._token = secrets.token_urlsafe(24)
        return self._token

    def admit(self, token: str) -> str:
        """The pass, for the token. Unauthorized when it was used or is another."""
        known, self._token = self._token, None
        if known is None or not _equal(token, known):
            self._token = known
            raise Unauthorized("this link was used already, or is not ours")
        return self._pass

    def knows(self, given: str | None) -> bool:
        return given is not None and _equal(given, self._pass)

    def has_key(self, given: Iterable[str]) -> bool:
        return any(_equal(each.strip(), self.key) for each in given)


ACCESS = web.AppKey("access", Access)


def cookie_name(http: web.Request) -> str:
    """Cookies do not know ports: two of our servers must not overwrite each other's."""
    return f"mlxk_{http.transport.get_extra_info('sockname')[1]}" if http.transport else "mlxk"


def is_known(http: web.Request) -> bool:
    return http.app[ACCESS].knows(http.cookies.get(cookie_name(http)))


def is_open(path: str) -> bool:
    """What says nothing about anybody: the files of the wheel, and the way in."""
    return path in ("/", ENTRY) or path.startswith("/page/")


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The one place where a failure becomes a status and a body."""
    answer = await outcome(handler(request))
    if isinstance(answer, web.StreamResponse):
        return answer
    error, status = answer
    return reply({"error": error.info()}, status=status)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    _require_our_name(request)
    _require_our_page(request)
    if not is_open(request.path) and not is_known(request):
        raise Unauthorized("open the link that `mlxk agent --web` printed")
    if not is_open(request.path) and not request.app[ACCESS].has_key(_keys(request)):
        raise PermissionDenied("only our own page may ask this: open the link again")
    return await handler(request)


async def protect(_: web.Request, response: web.StreamResponse) -> None:
    """What the browser is told to refuse, on every response."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")


def reply(value: object, *, status: int = 200) -> web.Response:
    body = encoding.dumps(value)
    return web.Response(body=body, status=status, content_type="application/json")


def _keys(http: web.Request) -> list[str]:
    """Where a page can put its key: a web socket has no headers of its own but the protocols."""
    if http.headers.get("Upgrade"):
        return http.headers.get("Sec-WebSocket-Protocol", "").split(",")
    return http.headers.getall(HEADER, [])


def _require_our_name(http: web.Request) -> None:
    """A foreign name that points here is not ours: its pages would count as our own."""
    hosts = http.headers.getall("Host", [])
    if len(hosts) != 1 or not is_loopback(hostname(f"//{hosts[0]}")):
        raise PermissionDenied("this server answers to loopback names only")


def _require_our_page(http: web.Request) -> None:
    origin = http.headers.get("Origin")
    if origin is not None and origin.casefold() != f"http://{http.headers['Host']}".casefold():
        raise PermissionDenied("requests from other origins are not answered")
    if origin is None and http.headers.get("Upgrade"):
        raise PermissionDenied("a web socket needs an Origin")
    site = http.headers.get("Sec-Fetch-Site", "none")
    if site not in ("none", "same-origin") and not _is_visit(http):
        raise PermissionDenied("requests from other sites are not answered")


def _is_visit(http: web.Request) -> bool:
    """Somebody followed a link to here: the whole window shows us, and nobody reads along."""
    sent = http.headers
    document = sent.get("Sec-Fetch-Mode") == "navigate" and sent.get("Sec-Fetch-Dest") == "document"
    return document and http.method == "GET" and http.path in ("/", ENTRY)


def _equal(a: str, b: str) -> bool:
    return hmac.compare_digest(a.encode(errors="replace"), b.encode())
