"""Aliases, and a chain of routes of which the first that can answer does."""

import pytest
from scripted import HELLO, Scripted

from mlxk.chat.fold import gather
from mlxk.chat.types import Message, Request, Start, Text, TextDelta
from mlxk.contract.errors import (
    EngineFailed,
    InvalidValue,
    ModelNotFound,
    OverCapacity,
    ProviderError,
)
from mlxk.server.router import Fallback

HI = Request("m", (Message("user", (Text("Hi"),)),))


async def answer(*models):
    routes = [(f"m{n}", model) for n, model in enumerate(models)]
    return (await gather(Fallback(routes).stream(HI))).reply


@pytest.mark.parametrize(
    "failure", [OverCapacity("full"), EngineFailed("dead"), ModelNotFound("no"), ProviderError("x")]
)
async def test_the_next_route_answers_when_one_cannot(failure):
    last = Scripted()
    reply = await answer(Scripted((Start("r", "m0"), failure)), last)
    assert reply.message.text == "Hello world"
    assert reply.model == "m"
    assert last.requests[0].model == "m1"


async def test_a_wrong_request_is_not_tried_elsewhere():
    last = Scripted()
    with pytest.raises(InvalidValue):
        await answer(Scripted((InvalidValue("no"),)), last)
    assert not last.requests


async def test_after_the_first_word_there_is_no_way_back():
    last = Scripted()
    with pytest.raises(EngineFailed):
        await answer(Scripted((HELLO[0], TextDelta("Hel"), EngineFailed("dead"))), last)
    assert not last.requests


async def test_the_last_failure_is_told():
    with pytest.raises(EngineFailed):
        await answer(Scripted((OverCapacity("full"),)), Scripted((EngineFailed("dead"),)))


@pytest.mark.parametrize(
    ("asked", "used"), [("gpt-5", "org/big"), ("big", "org/big"), ("claude-x", "tiny")]
)
async def test_a_model_may_have_other_names(serve, asked, used):
    models = {"org/big": Scripted(), "tiny": Scripted()}
    http = await serve(models, aliases={"gpt-5": "org/big", "*": "tiny"})
    body = {"model": asked, "messages": [{"role": "user", "content": "hi"}]}
    assert (await http.post("/v1/chat/completions", json=body)).status == 200
    assert models[used].requests[0].model == used
