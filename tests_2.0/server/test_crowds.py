"""More requests than places: the real engine, full, says so in the words of each API."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from scripted import Scripted

from mlxk.contract.errors import ProviderRateLimited
from mlxk.engine.model import EngineModel
from mlxk.engine.options import EngineOptions
from mlxk.hub import builtin

HI = [{"role": "user", "content": "Hi"}]
ENDLESS = {"temperature": 2, "max_tokens": 4000, "logit_bias": {"0": -100, "2": -100}}
LONG = {"messages": HI, "stream": True} | ENDLESS
REQUESTS = {
    "chat": ("/v1/chat/completions", {"messages": HI}),
    "completions": ("/v1/completions", {"prompt": "Hi"}),
    "responses": ("/v1/responses", {"input": "Hi"}),
    "anthropic": ("/v1/messages", {"messages": HI, "max_tokens": 9}),
    "gemini": ("/v1beta/models/m:generateContent", {"contents": [{"parts": [{"text": "Hi"}]}]}),
}
KINDS = {
    503: {"anthropic": "overloaded_error", "gemini": "UNAVAILABLE", "": "server_error"},
    429: {"anthropic": "rate_limit_error", "gemini": "RESOURCE_EXHAUSTED", "": "rate_limit_error"},
}


async def refused(http, name, status, **more):
    path, body = REQUESTS[name]
    response = await http.post(path, json=body | more)
    assert (response.status, response.headers["Retry-After"]) == (status, "1")
    error = (await response.json())["error"]
    assert error["message"]
    kind = error["status"] if name == "gemini" else error["type"]
    assert kind == KINDS[status].get(name, KINDS[status][""])


async def test_a_full_engine_refuses_in_every_format_and_recovers(serve, home):
    options = EngineOptions(rows=1, queue=1)
    folder = builtin.folder("builtin:tiny")
    async with (
        EngineModel(folder, "m", options=options, home=home) as model,
        AsyncExitStack() as stack,
    ):
        await model.ready()
        http = await serve(model, patience_s=0.2)
        for _ in range(2):
            await stack.enter_async_context(http.post("/v1/chat/completions", json=LONG))
        assert model.stats.active_sequences + model.stats.queued == 2
        await asyncio.gather(*(refused(http, name, 503) for name in REQUESTS))
        streams = ("chat", "completions", "responses", "anthropic")
        await asyncio.gather(*(refused(http, name, 503, stream=True) for name in streams))
        assert model.stats.active_sequences + model.stats.queued == 2
        await stack.aclose()
        for path, body in REQUESTS.values():
            assert (await http.post(path, json=body)).status == 200


async def test_all_of_a_crowd_are_answered_or_told_to_come_back(serve, home):
    options = EngineOptions(rows=4, queue=8)
    folder = builtin.folder("builtin:tiny")
    async with EngineModel(folder, "m", options=options, home=home) as model:
        await model.ready()
        http = await serve(model)
        http.connector._limit = 0
        asked = (http.post(path, json=body) for path, body in REQUESTS.values() for _ in range(8))
        answers = await asyncio.gather(*asked)
        statuses = {answer.status for answer in answers}
        assert statuses <= {200, 503}
        assert sum(answer.status == 200 for answer in answers) >= 12
        assert all("Retry-After" in answer.headers for answer in answers if answer.status == 503)
        assert (model.stats.active_sequences, model.stats.queued) == (0, 0)


@pytest.mark.parametrize("name", [name for name in REQUESTS if name != "completions"])
async def test_the_limit_of_an_api_behind_us_is_passed_on(serve, name):
    http = await serve(Scripted((ProviderRateLimited("slow down"),)))
    await refused(http, name, 429)
