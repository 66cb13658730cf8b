"""What is served, how it is, and who may ask."""

import pytest
from scripted import Scripted

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


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer sesame"}, 200),
        ({"x-api-key": "sesame"}, 200),
        ({"x-goog-api-key": "sesame"}, 200),
    ],
    ids=str,
)
async def test_a_server_with_a_key_asks_for_it(serve, headers, status):
    http = await serve(Scripted(), api_key="sesame")
    response = await http.post("/v1/chat/completions", json=HI, headers=headers)
    assert response.status == status
    assert (await http.get("/health")).status == 200
