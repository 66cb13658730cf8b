"""A foreign page, a rebound name, an old link: none of them gets anything done."""

import asyncio

import checkout
import pytest
from web_room import opened

from mlxk.chat.scripted import Scripted
from mlxk.web import pages

FOREIGN = "http://evil.example"


@pytest.fixture
async def room(home, tmp_path):
    repo = checkout.make(tmp_path / "repo")
    async with opened(repo, home / ".mlxk", Scripted("Hello.")) as room:
        yield await room.enter()


async def status(request):
    async with request as response:
        return response.status


def new(room, **headers):
    return room.http.post("/api/new", json={"prompt": "hi"}, headers=room.key | headers)


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\nX: \x00\r\n\r\n", b"HELO\r\n\r\n"])
async def test_what_is_no_http_is_refused_in_silence(room, caplog, text):
    reader, writer = await asyncio.open_connection("127.0.0.1", room.port)
    writer.write(text)
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    assert not caplog.records


async def test_who_was_let_in_may_work(room):
    assert await status(new(room, Origin=room.url)) == 200
    assert len(room.desk.tabs) == 1


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Origin": FOREIGN}, id="another origin"),
        pytest.param({"Origin": "null"}, id="a sandboxed frame"),
        pytest.param({"Origin": "http://127.0.0.1:1"}, id="another port of ours"),
        pytest.param({"Origin": "http://localhost:{port}"}, id="another name of ours"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="another site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, id="another port by its site"),
        pytest.param({"Host": "evil.example:{port}"}, id="a rebound name"),
        pytest.param({"Host": "127.0.0.1.evil.example"}, id="a name that looks like ours"),
        pytest.param({"Cookie": "mlxk_{port}=guess"}, id="a wrong pass"),
    ],
)
async def test_a_foreign_page_runs_nothing(room, headers):
    sent = {name: value.format(port=room.port) for name, value in headers.items()}
    if "Cookie" in sent:
        room.http.cookie_jar.clear()
    assert await status(new(room, **sent)) in (401, 403)
    assert room.desk.tabs == []


@pytest.mark.parametrize("header", ["Content-Type", "X-Mlxk"])
async def test_what_a_plain_form_can_send_is_refused(room, header):
    headers = {"Content-Type": "application/json", **room.key} | {header: None}
    sent = {name: value for name, value in headers.items() if value}
    sent.setdefault("Content-Type", "text/plain")
    request = room.http.post("/api/new", data=b'{"prompt": "hi"}', headers=sent)
    assert await status(request) in (400, 403)
    assert room.desk.tabs == []


PATHS = ["/api/sessions", "/api/hello", "/api/models", "/api/sessions/x/changes"]


@pytest.mark.parametrize("path", PATHS)
async def test_without_the_cookie_nothing_is_told(room, path):
    room.http.cookie_jar.clear()
    assert await status(room.http.get(path, headers=room.key)) == 401


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", [None, "1", ""])
async def test_a_cookie_that_another_server_saw_opens_nothing(room, path, key):
    headers = {} if key is None else {"X-Mlxk": key}
    assert await status(room.http.get(path, headers=headers)) == 403


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://127.0.0.1:1"])
async def test_a_foreign_page_hears_no_news(room, origin):
    with pytest.raises(Exception, match="403"):
        await room.news(Origin=origin)


async def test_news_need_an_origin_and_the_key(room):
    ours = {"Origin": room.url}
    for headers, protocols in (({}, ("mlxk", room.access.key)), (ours, ("mlxk",)), (ours, ())):
        with pytest.raises(Exception, match="403"):
            await room.http.ws_connect("/api/news", headers=headers, protocols=protocols)
    async with room.news() as socket:
        assert (await socket.receive_json())["kind"] == "hello"


async def test_a_link_works_once(room):
    room.http.cookie_jar.clear()
    assert await status(room.http.get(room.link)) == 401
    assert len(room.http.cookie_jar) == 0


async def test_a_wrong_guess_does_not_use_up_the_link(room):
    made = await room.post("link")
    room.http.cookie_jar.clear()
    assert await status(room.http.get("/enter?token=guess")) == 401
    assert await status(room.http.get(made["url"])) == 200
    assert await status(room.http.get("/api/hello", headers=room.key)) == 200


async def test_the_pass_is_for_our_page_only(room):
    made = await room.post("link")
    async with room.http.get(made["url"]) as response:
        cookie = response.headers["Set-Cookie"]
        page = await response.text()
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert made["url"].partition("token=")[2] not in cookie + page
    assert room.access.key not in cookie


async def test_a_link_is_followed_from_anywhere_but_not_framed(room):
    made = await room.post("link")
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    frame = await status(room.http.get(made["url"], headers=visit | {"Sec-Fetch-Dest": "iframe"}))
    window = await status(
        room.http.get(made["url"], headers=visit | {"Sec-Fetch-Dest": "document"})
    )
    assert (frame, window) == (403, 200)


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/api/sessions", "/nowhere"])
async def test_the_browser_is_told_what_to_refuse(room, path):
    async with room.http.get(path) as response:
        policy = response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in response.headers
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy


@pytest.mark.parametrize("file", sorted(p.name for p in pages._FOLDER.iterdir()))
def test_the_page_needs_nothing_from_elsewhere_and_no_inline_script(file):
    text = (pages._FOLDER / file).read_text()
    foreign = text.replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in foreign
    assert "https://" not in foreign
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "srcdoc",
    ):
        assert word not in text
    if file.endswith(".html"):
        assert "style=" not in text
        assert text.count("<script") == text.count('<script type="module" src=')


@pytest.mark.parametrize("path", ["/page/../app.py", "/page/%2e%2e/app.py", "/page/index.html"])
async def test_only_the_files_of_the_page_are_served(room, path):
    assert await status(room.http.get(path, headers=room.key)) == 404


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{", b'{"prompt": 1}', b'{"prompt": "hi", "x": 1}', b'{"prompt": " "}'],
    ids=["a list", "no JSON", "a number", "an unknown field", "empty"],
)
async def test_a_body_is_checked(room, body):
    headers = {"Content-Type": "application/json"} | room.key
    assert await status(room.http.post("/api/new", data=body, headers=headers)) == 400
    assert room.desk.tabs == []
