"""What is served, how it is, and who may ask."""

from datetime import datetime

import pytest
from scripted import Scripted

from mlxk import __version__
from mlxk.contract.validate import problems

HI = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


class Loading(Scripted):
    """A model that is not there yet."""

    phase, active_sequences, queued, prefix_cache_files = "loading", 0, 2, 5

    @property
    def stats(self):
        return self

    async def context_length(self):
        return 64


async def test_models_are_listed_by_name(serve):
    http = await serve({"org/big": Scripted(), "tiny": Scripted()})
    body = await (await http.get("/v1/models")).json()
    assert [model["id"] for model in body["data"]] == ["org/big", "tiny"]


AUDIENCES = [
    ({}, "id", ""),
    ({"anthropic-version": "1"}, "id", ""),
    ({"x-goog-api-key": "k"}, "name", "models/"),
]


@pytest.mark.parametrize(
    ("headers", "key", "prefix"), AUDIENCES, ids=["openai", "anthropic", "google"]
)
async def test_aliases_are_listed_after_the_models_and_found(serve, headers, key, prefix):
    aliases = {"gpt-5": "big", "gone": "gone", "": "tiny"}
    http = await serve({"org/big": Scripted(), "tiny": Scripted()}, aliases=aliases)
    body = await (await http.get("/v1/models", headers=headers)).json()
    rows = body.get("data") or body["models"]
    assert [row[key] for row in rows] == [prefix + name for name in ("org/big", "tiny", "gpt-5")]
    found = await (await http.get("/v1/models/gpt-5", headers=headers)).json()
    assert found == rows[-1]
    assert "org/big" in found.values()


@pytest.mark.parametrize("name", ["org/big", "big", "org%2Fbig"])
async def test_a_model_is_found_by_its_whole_name_or_its_last_part(serve, name):
    http = await serve({"org/big": Scripted(), "tiny": Scripted()})
    body = await (await http.get(f"/v1/models/{name}")).json()
    assert body["id"] == "org/big"


async def test_an_unknown_model_is_404(serve):
    http = await serve({"tiny": Scripted()})
    response = await http.get("/v1/models/huge")
    assert response.status == 404
    assert (await response.json())["error"]["code"] == "model_not_found"


async def test_the_version_is_told_without_a_key(serve):
    http = await serve(Scripted(), api_key="secret")
    assert await (await http.get("/version")).json() == {"version": __version__}


async def test_health_of_a_model_that_answers(serve):
    http = await serve(Scripted())
    response = await http.get("/health")
    body = await response.json()
    assert response.status == 200
    assert (body["status"], body["phase"], body["model"]) == ("ok", "ready", "m")
    assert problems("wire/health", body) == ()


async def test_health_of_a_model_that_loads_is_503_and_says_so(serve):
    http = await serve(Loading())
    response = await http.get("/health")
    body = await response.json()
    assert response.status == 503
    assert (body["phase"], body["queued"], body["prefix_cache_files"]) == ("loading", 2, 5)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/v1/chat/completions", 405), ("DELETE", "/health", 405)],
)
async def test_a_wrong_path_or_method_is_an_error_body(serve, method, path, status):
    http = await serve(Scripted())
    response = await http.request(method, path)
    assert response.status == status
    assert (await response.json())["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "["}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
    ],
    ids=str,
)
async def test_web_pages_from_elsewhere_are_not_answered(serve, headers, status):
    http = await serve(Scripted())
    response = await http.post("/v1/chat/completions", json=HI, headers=headers)
    assert response.status == status


PREFLIGHT = {
    "Origin": "http://localhost:3000",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


async def test_a_browser_that_asks_first_may_send_and_read(serve):
    http = await serve(Scripted(), api_key="sesame")
    path = "/v1/chat/completions"
    first = await http.options(path, headers=PREFLIGHT)
    assert first.status == 204
    assert first.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    assert "POST" in first.headers["Access-Control-Allow-Methods"]
    key = {"Authorization": "Bearer sesame"}
    for headers, status in ((key, 200), ({}, 401)):
        asked = HI | {"stream": True}
        answer = await http.post(path, json=asked, headers=PREFLIGHT | headers)
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == PREFLIGHT["Origin"]


@pytest.mark.parametrize(
    ("allowed", "status"),
    [("https://chat.example", 204), ("*", 204), ("https://else.example", 403)],
)
async def test_pages_that_were_allowed_may_ask(serve, allowed, status):
    http = await serve(Scripted(), origins=frozenset({allowed}))
    asked = PREFLIGHT | {"Origin": "https://chat.example"}
    answer = await http.options("/v1/messages", headers=asked)
    assert answer.status == status
    assert ("Access-Control-Allow-Origin" in answer.headers) == (status == 204)


async def test_a_model_was_made_when_the_server_began(serve):
    http = await serve(Scripted())
    (row,) = (await (await http.get("/v1/models")).json())["data"]
    named = {"anthropic-version": "2023-06-01"}
    (other,) = (await (await http.get("/v1/models", headers=named)).json())["data"]
    assert datetime.fromisoformat(other["created_at"]).timestamp() == row["created"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer sesame"}, 200),
        ({"Authorization": "bearer sesame"}, 200),
        ({"Authorization": "Basic sesame"}, 401),
        ({"x-api-key": "sesame"}, 200),
        ({"x-goog-api-key": "sesame"}, 200),
    ],
    ids=str,
)
async def test_a_server_with_a_key_asks_for_it(serve, headers, status):
    http = await serve(Scripted(), api_key="sesame")
    response = await http.post("/v1/chat/completions", json=HI, headers=headers)
    assert response.status == status
    assert response.headers.get("WWW-Authenticate") == (None if status == 200 else "Bearer")
    assert (await http.get("/health")).status == (await http.get("/ready")).status == 200
