"""The files of the page, as they are in the wheel, and the way in."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from mlxk.contract.errors import NotFound, Unauthorized
from mlxk.web.access import ACCESS, ENTRY, cookie_name, is_known

_FOLDER = Path(__file__).parent / "page"
_KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def routes() -> list[web.RouteDef]:
    return [
        web.get("/", index),
        web.get(ENTRY, enter),
        web.get(r"/page/{name:[a-z]+\.(?:js|css|svg)}", asset),
    ]


async def index(http: web.Request) -> web.StreamResponse:
    return _file(http, "index.html") if is_known(http) else _file(http, "refused.html", status=401)


async def asset(http: web.Request) -> web.StreamResponse:
    return _file(http, http.match_info["name"])


async def enter(http: web.Request) -> web.StreamResponse:
    """Exchange the token for a cookie and a key. A page in between keeps the key, and goes on as a
    visit from here: only those bring the cookie."""
    try:
        passed = http.app[ACCESS].admit(http.query.get("token", ""))
    except Unauthorized as e:
        return _file(http, "refused.html", status=e.http_status)
    body = _content("entered.html")[0].replace(b"KEY", http.app[ACCESS].key.encode())
    response = web.Response(body=body, content_type="text/html", charset="utf-8")
    response.set_cookie(cookie_name(http), passed, httponly=True, samesite="Strict", path="/")
    return response


def _file(http: web.Request, name: str, *, status: int = 200) -> web.Response:
    body, tag = _content(name)
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    if http.headers.get("If-None-Match") == tag and status == 200:
        return web.Response(status=304, headers=headers)
    response = web.Response(
        body=body,
        status=status,
        headers=headers,
        content_type=_KINDS[Path(name).suffix],
        charset="utf-8",
    )
    response.enable_compression()
    return response


@cache
def _content(name: str) -> tuple[bytes, str]:
    path = _FOLDER / name
    if not path.is_file():
        raise NotFound("nothing is served at this path")
    data = path.read_bytes()
    return data, f'"{sha256(data).hexdigest()[:16]}"'
