"""The gateway's inside: names, fallbacks, starts on demand, memory; over real sockets."""

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import orjson
import pytest
from offices import Front, Office
from scripted import HELLO, Raw, Scripted
from waiting import happens

from mlxk.chat.types import TextDelta
from mlxk.contract.errors import (
    ContextLengthExceeded,
    CorruptState,
    OutOfMemory,
    OverCapacity,
)
from mlxk.server.residency import Resident
from mlxk.server.state import STATE

SLOW = (*HELLO[:2], 0.3, *HELLO[2:])
USER = [{"role": "user", "content": "hi"}]


class Known:
    """The same process as another plan finds it: its place is a new one."""

    def __init__(self, office):
        self._office = office

    def __getattr__(self, name):
        return getattr(self._office, name)


@pytest.fixture
async def front():
    async with AsyncExitStack() as opened:
        yield Front(opened)


def text_of(reply):
    return reply["choices"][0]["message"]["content"]


QUESTIONS = {
    "/v1/chat/completions": {"model": "standard", "messages": USER},
    "/v1/completions": {"model": "standard", "prompt": "hi"},
    "/v1/messages": {"model": "standard", "messages": USER, "max_tokens": 9},
    "/v1/responses": {"model": "standard", "input": "hi"},
    "/v1beta/models/standard:generateContent": {"contents": [{"parts": [{"text": "hi"}]}]},
}


@pytest.mark.parametrize("path", QUESTIONS)
async def test_every_wire_format_is_passed_on_with_the_id_of_its_request(front, path):
    office = await front.office("small")
    await front.open(routes={"standard": ["small"]})
    headers = {"X-Request-Id": "req-7"}
    async with front.http.post(path, json=QUESTIONS[path], headers=headers) as reply:
        assert (reply.status, reply.headers["X-Request-Id"]) == (200, "req-7")
        assert "Hello world" in await reply.text()
    (outer,) = map(orjson.loads, front.log)
    inner = orjson.loads(office.log[-1])
    assert (outer["id"], outer["answered_by"]) == ("req-7", "small")
    assert (inner["id"], inner["model"]) == ("req-7", "own-name")


async def test_tokens_are_those_of_the_deployment(front):
    await front.office("small", key="secret")
    await front.open(routes={"standard": ["small"]})
    body = {"model": "standard", "messages": [{"role": "user", "content": "a b c"}]}
    for path, name in (("/v1/messages", "count_tokens"), ("/v1/responses", "input_tokens")):
        asked = body if name == "count_tokens" else {"model": "small", "input": "a b c"}
        async with front.http.post(f"{path}/{name}", json=asked) as reply:
            assert (await reply.json())["input_tokens"] == 3
    async with front.http.post("/tokenize", json={"model": "small", "text": "a b"}) as reply:
        assert (await reply.json())["tokens"] == [0, 1]


async def test_models_are_those_of_the_plan(front):
    await front.office("small")
    await front.open(routes={"standard": ["small"], "gone": ["other"]}, aliases={"": "standard"})
    async with front.http.get("/v1/models") as reply:
        assert [row["id"] for row in (await reply.json())["data"]] == ["standard", "small"]
    async with front.http.get("/api/ps") as reply:
        assert [row["name"] for row in (await reply.json())["models"]] == ["small"]
    assert (await front.chat("other"))[0] == 404
    assert text_of((await front.chat(""))[1]) == "Hello world"


async def test_the_next_in_the_chain_answers_when_one_cannot(front):
    await front.office("dead", running=False)
    await front.office("full", Scripted((OverCapacity("full"),)))
    await front.office("good")
    await front.open(routes={"standard": ["dead", "full", "good"]})
    status, reply, _ = await front.chat("standard")
    assert (status, text_of(reply), reply["model"]) == (200, "Hello world", "standard")
    assert orjson.loads(front.log[-1])["answered_by"] == "good"
    status, reply, headers = await front.chat("dead")
    assert (status, reply["error"]["code"]) == (503, "not_running")
    assert headers["Retry-After"] == "1"


async def test_a_raw_prompt_has_the_same_chain(front):
    await front.office("dead", running=False)
    good = await front.office("good")
    await front.open(routes={"standard": ["dead", "good"]}, cloud={"far": Scripted()})
    body = {"model": "standard", "prompt": "as it is"}
    async with front.http.post("/v1/completions", json=body) as reply:
        assert (await reply.json())["choices"][0]["text"] == "Hello world"
    assert good.model.prompts == ["as it is"]


async def test_what_always_runs_is_not_left_for_want_of_questions(front):
    await front.office("always")
    await front.open(keep=0.05)
    assert (await front.chat("always", keep_alive="10ms"))[0] == 200
    await asyncio.sleep(0.2)
    async with front.http.get("/health") as reply:
        assert (await reply.json())["phase"] == "ready"


async def test_what_a_deployment_refuses_is_refused_in_its_words(front):
    wrong = ContextLengthExceeded("too long", prompt_tokens=9, context_length=4)
    await front.office("small", Scripted((wrong,)))
    await front.office("other")
    await front.open(routes={"standard": ["small", "other"]})
    status, reply, _ = await front.chat("standard")
    assert (status, reply["error"]["code"]) == (400, "context_length_exceeded")
    assert "maximum context length is 4 tokens" in reply["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_deployment_that_dies_in_a_stream_ends_it_with_an_error(front, path):
    """After the first word there is no way back; the error has the form of the API."""
    dying = await front.office("dying", Scripted((*HELLO[:2], TextDelta(" w"), 9.0)))
    other = await front.office("other")
    await front.open(routes={"standard": ["dying", "other"]})
    async with front.http.post(path, json=QUESTIONS[path] | {"stream": True}) as reply:
        said = b""
        while b" w" not in said:
            said += await reply.content.readany()
        await dying.die()
        said += await reply.content.read()
    last = [line for line in said.decode().splitlines() if line.startswith("data: {")][-1]
    error = orjson.loads(last.removeprefix("data: "))
    assert "dying: the answer was cut off" in error["error"]["message"], said
    assert not other.model.requests


async def test_a_deployment_is_started_once_for_all_who_ask(front):
    await front.office("big", offered=True, delay_s=0.1)
    await front.open(routes={"standard": ["big"]})
    answers = await asyncio.gather(*(front.chat("standard") for _ in range(9)))
    assert {text_of(reply) for _, reply, _ in answers} == {"Hello world"}
    assert front.diary == ["start big"]


async def test_one_that_died_is_started_again(front):
    office = await front.office("big", offered=True)
    await front.open()
    await front.chat("big")
    await office.die()
    answers = await asyncio.gather(*(front.chat("big") for _ in range(5)))
    assert {status for status, _, _ in answers} == {200}
    assert front.diary == ["start big", "start big"]


async def test_one_whose_document_changed_is_started_again_once_for_all_who_ask(front):
    office = await front.office("big", offered=True, delay_s=0.1)
    await front.open()
    await front.chat("big")
    office.edit()
    answers = await asyncio.gather(*(front.chat("big") for _ in range(5)))
    assert {status for status, _, _ in answers} == {200}
    assert front.diary == ["start big", "stop big: document_changed", "start big"]


async def test_the_queue_has_so_many_places_and_an_end(front):
    await front.office("big", offered=True, delay_s=0.6)
    await front.open(places=2, wait_s=0.3)
    answers = await asyncio.gather(*(front.chat("big") for _ in range(4)))
    said = sorted((status, reply["error"]["message"]) for status, reply, _ in answers)
    assert [status for status, _ in said] == [503] * 4
    assert sum("2 requests wait" in message for _, message in said) == 2
    assert sum("within 0.3 s" in message for _, message in said) == 2
    assert {headers["Retry-After"] for _, _, headers in answers} == {"1"}
    await happens(lambda: front.offices["big"].where())
    assert (await front.chat("big"))[0] == 200, "the load went on"
    assert front.diary == ["start big"]


async def test_more_at_once_than_a_model_may_have_is_429(front):
    await front.office("small", Scripted(SLOW))
    await front.open(most=2)
    answers = await asyncio.gather(*(front.chat("small") for _ in range(3)))
    assert sorted(status for status, _, _ in answers) == [200, 200, 429]
    refused = next(each for each in answers if each[0] == 429)
    assert refused[1]["error"]["type"] == "rate_limit_error"
    assert refused[2]["Retry-After"] == "1"


async def test_room_is_made_by_who_was_idle_longest_and_never_by_the_busy(front):
    for name in ("a", "b", "c"):
        await front.office(name, Scripted(SLOW), offered=True)
    await front.open(budget=20)
    await front.chat("a")
    await front.chat("b")
    busy = asyncio.create_task(front.chat("a"))
    await happens(lambda: front.offices["a"].model.running)
    status, _, _ = await front.chat("c")
    assert (status, (await busy)[0]) == (200, 200)
    assert front.diary == ["start a", "start b", "stop b: evicted_for:c", "start c"]


async def test_what_always_runs_is_never_unloaded(front):
    await front.office("always")
    await front.office("big", offered=True)
    await front.open(budget=5)
    status, reply, _ = await front.chat("big")
    assert (status, reply["error"]["code"]) == (503, "out_of_memory")
    assert (await front.chat("always"))[0] == 200


async def test_one_that_others_use_directly_is_not_unloaded(front):
    office = await front.office("a", Scripted((*HELLO[:2], 0.6, *HELLO[2:])), offered=True)
    await front.office("b", offered=True)
    await front.open(budget=10, wait_s=5.0)
    await front.app[STATE].models["a"].ready()
    body = {"messages": USER}
    url = f"{office.where().url}/v1/chat/completions"
    direct = asyncio.create_task(front.http.post(url, json=body))
    await happens(lambda: office.model.running)
    await front.exchange.look()
    asked = asyncio.create_task(front.chat("b"))
    assert (await direct).status == 200
    assert front.diary == ["start a"]
    await front.exchange.look()
    assert (await asked)[0] == 200
    assert front.diary == ["start a", "stop a: evicted_for:b", "start b"]


async def test_keep_alive_ends_what_nobody_asks_for_and_looks_do_not_prolong_it(front):
    await front.office("big", offered=True)
    await front.open(keep=0.3)
    await front.chat("big")
    for _ in range(10):
        await asyncio.sleep(0.05)
        await front.exchange.look()
        async with front.http.get("/health") as reply:
            assert reply.status == 200
    assert front.diary == ["start big", "stop big: keep_alive"]
    assert (await front.chat("big"))[0] == 200


async def test_who_is_asked_for_while_it_leaves_comes_back_when_it_is_gone(front):
    await front.office("big", offered=True, delay_s=0.2)
    await front.open()
    await front.chat("big")
    leaving = asyncio.create_task(front.app[STATE].models["big"].unload("keep_alive"))
    await asyncio.sleep(0.05)
    await front.exchange.look()
    assert (await front.chat("big"))[0] == 200
    await leaving
    assert front.diary == ["start big", "stop big: keep_alive", "start big"]


@pytest.mark.parametrize(
    ("office", "status", "phase"),
    [
        ({}, 200, "ready"),
        ({"offered": True}, 200, "stopped"),
        ({"running": False}, 503, "failed"),
    ],
    ids=["runs", "can be started", "is down"],
)
async def test_health_is_good_when_somebody_can_answer(front, office, status, phase):
    await front.office("dead", running=False)
    await front.office("small", **office)
    await front.open()
    async with front.http.get("/health") as reply:
        assert (reply.status, (await reply.json())["phase"]) == (status, phase)


async def test_one_whose_state_cannot_be_read_does_not_end_the_looks(front):
    damaged, _ = await front.office("damaged"), await front.office("good")
    await front.open()

    def unreadable():
        raise CorruptState("run/damaged.json cannot be read")

    damaged.where = unreadable
    await front.exchange.look()
    status, reply, _ = await front.chat("damaged")
    assert (status, reply["error"]["code"]) == (500, "corrupt_state")
    assert (await front.chat("good"))[0] == 200


async def test_who_comes_to_life_by_himself_is_found(front):
    office = await front.office("small", running=False)
    await front.open()
    await office.run()
    await front.exchange.look()
    async with front.http.get("/health") as reply:
        assert reply.status == 200
    await office.die()
    await office.run()
    assert (await front.chat("small"))[0] == 200


async def test_metrics_ask_for_the_key_and_can_be_closed(front):
    await front.office("small")
    await front.open(options={"api_key": "secret"})
    key = {"Authorization": "Bearer secret"}
    for path in ("/metrics", "/api/ps", "/v1/models"):
        async with front.http.get(path) as reply:
            assert reply.status == 401
        async with front.http.get(path, headers=key) as reply:
            assert reply.status == 200


async def test_metrics_that_are_not_wanted_are_not_there(front):
    await front.office("small")
    await front.open(options={"metrics": False})
    async with front.http.get("/metrics") as reply:
        assert reply.status == 404


async def test_the_cloud_answers_last_and_by_its_own_names(front):
    cloud = Raw()
    await front.office("small", Scripted((OutOfMemory("none"),)))
    await front.open(routes={"standard": ["small"]}, cloud={"org/large": cloud})
    status, reply, _ = await front.chat("standard")
    assert (status, reply["model"]) == (200, "standard")
    assert cloud.requests[0].model == "org/large"
    assert orjson.loads(front.log[-1])["answered_by"] == "org/large"
    assert (await front.chat("small"))[0] == 503, "who is named is meant"
    assert (await front.chat("org/large"))[0] == 200


async def test_what_is_only_starting_goes_on_when_the_gateway_ends(front):
    office = await front.office("big", offered=True, delay_s=0.3)
    await front.open()
    front.offices["big"] = Office(front, "big", offered=True)
    await front.arrange()
    asked = asyncio.create_task(front.chat("big"))
    await happens(lambda: front.diary)
    await front.exchange.leave()
    loading = front.app[STATE].models["big"]
    await loading.close()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await asked
    assert front.diary == ["start big"]
    assert office.where() is None


async def test_another_plan_disturbs_nobody_and_sends_the_former_away(front):
    await front.office("old", Scripted(SLOW), offered=True)
    await front.office("stays", Scripted(SLOW), offered=True)
    await front.open()
    asked = [asyncio.create_task(front.chat(name)) for name in ("old", "stays")]
    await happens(lambda: all(each.model.running for each in front.offices.values()))
    stays = front.app[STATE].models["stays"]
    del front.offices["old"]
    await front.arrange()
    assert front.app[STATE].models == {"stays": stays}
    assert isinstance(stays, Resident)
    assert {(await each)[0] for each in asked} == {200}
    await front.exchange.look()
    assert "stop old: user" in front.diary
    assert "stop stays: user" not in front.diary


async def test_who_is_taken_out_while_busy_and_put_in_again_stays(front):
    old = await front.office("old", Scripted(SLOW), offered=True)
    await front.open()
    asked = asyncio.create_task(front.chat("old"))
    await happens(lambda: old.model.running)
    del front.offices["old"]
    await front.arrange()
    front.offices["old"] = Known(old)
    await front.arrange()
    assert (await asked)[0] == 200
    for _ in range(3):
        await front.exchange.look()
    assert (await front.chat("old"))[0] == 200
    assert front.diary == ["start old"]


async def test_who_is_taken_out_while_it_starts_is_ended_when_it_has_answered(front):
    old = await front.office("old", offered=True, delay_s=0.2)
    await front.open()
    asked = asyncio.create_task(front.chat("old"))
    await happens(lambda: front.diary)
    del front.offices["old"]
    await front.arrange()
    assert (await asked)[0] == 200
    await front.exchange.look()
    assert front.diary == ["start old", "stop old: user"]
    assert old.where() is None
