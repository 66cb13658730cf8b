"""Hostile requests in every format: the format's own refusal, never a 500, and life goes on."""

import asyncio
from io import BytesIO

import pytest
from scripted import Raw

BASES = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
    "completions": ("/v1/completions", {"prompt": "Hi"}),
    "responses": ("/v1/responses", {"input": "Hi"}),
    "anthropic": (
        "/v1/messages",
        {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
    ),
    "gemini": (
        "/v1beta/models/m:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    ),
}
LIMITS = {
    "chat": "max_tokens",
    "completions": "max_tokens",
    "responses": "max_output_tokens",
    "anthropic": "max_tokens",
    "gemini": "generationConfig",
}
WRONG_LIMITS = [0, -1, "x", 10**9, 1.5, True, [], {}]
MESSAGES = {
    "chat": "messages",
    "completions": "prompt",
    "responses": "input",
    "anthropic": "messages",
    "gemini": "contents",
}
WRONG_MESSAGES = [5, {"a": 1}, [5.5], [1, "a"], [[]], [{}], [{"role": 5}], [None]]
DEEP = {}
for _ in range(300):
    DEEP = {"properties": {"a": DEEP}}


def limited(name, value):
    return {"maxOutputTokens": value} if name == "gemini" else value


async def refused(http, path, body):
    response = await http.post(path, json=body)
    assert 400 <= response.status < 500, await response.text()
    error = (await response.json())["error"]
    assert error["message"]
    if path == "/v1/messages":
        assert error["type"].endswith("_error")
    if "models" in path:
        assert error["code"] == response.status
        assert error["status"].isupper()


@pytest.mark.parametrize("name", BASES)
async def test_limits_that_are_no_limits(serve, name):
    http = await serve(Raw())
    path, base = BASES[name]
    for value in WRONG_LIMITS:
        await refused(http, path, base | {LIMITS[name]: limited(name, value)})
    assert (await http.post(path, json=base | {LIMITS[name]: limited(name, 5.0)})).status == 200
    assert (await http.post(path, json=base | {LIMITS[name]: limited(name, None)})).status == 200


@pytest.mark.parametrize("name", BASES)
async def test_conversations_that_are_none(serve, name):
    http = await serve(Raw())
    path, base = BASES[name]
    for value in WRONG_MESSAGES:
        await refused(http, path, base | {MESSAGES[name]: value})
    assert (await http.post(path, json=base)).status == 200


async def test_a_body_with_a_million_faults_is_refused_as_soon_as_one_with_a_few(serve):
    http = await serve(Raw())
    for path, body in (
        ("/v1/chat/completions", b'{"messages":[%b5]}' % (b"5," * 1_000_000)),
        ("/v1/messages", b'{"max_tokens":9,"messages":[%b5]}' % (b"5," * 1_000_000)),
    ):
        async with asyncio.timeout(8):
            assert (await http.post(path, data=BytesIO(body))).status == 400


async def test_who_sends_megabytes_of_nonsense_stops_nobody_else(serve):
    """The last of many parts is wrong: to say so, all of them have to be looked at."""
    http = await serve(Raw())
    turn = b'{"role":"user","parts":[{"text":"Hi"}]},'
    body = BytesIO(b'{"contents":[%b5]}' % (turn * 20_000))
    asked = asyncio.create_task(http.post("/v1beta/models/m:generateContent", data=body))
    time, longest = asyncio.get_running_loop().time, 0.0
    began = last = time()
    while not asked.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time() - last), time()
    assert (await asked).status == 400
    assert longest < (time() - began) / 2


MANY = 50_000


@pytest.mark.parametrize(
    "prompt",
    [["x", [1, 2]] * (MANY // 2), ["x"] * MANY, [[1]] * MANY, [1] * MANY + ["x"], [["x"] * MANY]],
    ids=["mixed", "texts", "ids", "a text among ids", "texts for ids"],
)
async def test_more_prompts_than_a_request_may_have_are_only_counted(serve, prompt):
    http = await serve(Raw())
    response = await http.post("/v1/completions", json={"prompt": prompt})
    assert response.status == 400
    said = (await response.json())["error"]["message"]
    assert "256 at most" in said or "more than token ids" in said
    assert len(said) < 200  # the prompts are not repeated


async def test_answers_of_all_prompts_together_are_counted(serve):
    http = await serve(Raw())
    response = await http.post("/v1/completions", json={"prompt": ["x"] * 5, "n": 64})
    assert response.status == 400
    assert "320 answers" in (await response.json())["error"]["message"]


@pytest.mark.parametrize("name", BASES)
async def test_bodies_that_are_no_requests(serve, name):
    http = await serve(Raw())
    path, _ = BASES[name]
    for body in (b"", b"{", b"[]", b"null", b"5", b'"x"', b"\xff", b"[" * 5000, b'{"a":NaN}'):
        response = await http.post(path, data=body)
        assert response.status == 400, body
        assert (await response.json())["error"]["message"]


@pytest.mark.parametrize("name", ["chat", "responses", "anthropic", "gemini"])
async def test_tools_that_are_none(serve, name):
    http = await serve(Raw())
    path, base = BASES[name]
    tools = {
        "chat": {"type": "function", "function": {"name": "f", "parameters": DEEP}},
        "responses": {"type": "function", "name": "f", "parameters": DEEP},
        "anthropic": {"name": "f", "input_schema": DEEP},
        "gemini": {"functionDeclarations": [{"name": "f", "parameters": DEEP}]},
    }
    for wrong in ([5], [None], "x", {"a": 1}, [tools[name]]):
        await refused(http, path, base | {"tools": wrong})


@pytest.mark.parametrize("name", BASES)
async def test_unknown_models(serve, name):
    http = await serve(Raw())
    path, base = BASES[name]
    await refused(http, path.replace("/m:", "/nobody:"), base | {"model": "nobody"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses"),
        ("GET", "/v1/responses/nothing"),
        ("POST", "/v1/responses/nothing"),
        ("GET", "/v1/messages"),
        ("PUT", "/v1/chat/completions"),
        ("POST", "/v1beta/models/m:embedContent"),
        ("POST", "/v1beta/models/m"),
        ("GET", "/v1beta/nothing"),
        ("OPTIONS", "/v1/chat/completions"),
        ("POST", "/%00"),
    ],
)
async def test_paths_and_methods_that_are_not_served(serve, method, path):
    http = await serve(Raw())
    response = await http.request(method, path)
    assert response.status in (404, 405)
    assert (await response.json())["error"]["message"]


async def test_a_websocket_probe_that_is_none_is_refused_at_once(serve):
    http = await serve(Raw())
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert (await http.get("/v1/responses", headers=headers)).status == 405


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"model": "m", "input": "Hi"}),
        ("/v1beta/models/m:embedContent", {"content": {"parts": [{"text": "Hi"}]}}),
        ("/v1beta/models/m:batchEmbedContents", {"requests": []}),
    ],
)
async def test_embeddings_are_not_made_and_that_is_said(serve, path, body):
    http = await serve(Raw())
    response = await http.post(path, json=body)
    assert response.status == 404
    error = (await response.json())["error"]
    assert "embeddings" in error["message"]
    assert error.get("status", "NOT_FOUND") == "NOT_FOUND"
