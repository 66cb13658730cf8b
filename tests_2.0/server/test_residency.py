"""Several models in one memory: loaded when asked, unloaded when idle, never both at once."""

import asyncio

import pytest
from scripted import HELLO, Raw
from waiting import happens

from mlxk.chat.fold import gather
from mlxk.chat.types import Message, Request, Start, Text, TextDelta
from mlxk.contract.errors import EngineFailed, OutOfMemory, OverCapacity
from mlxk.server.residency import House, Resident

HI = Request("m", (Message("user", (Text("Hi"),)),))
SLOW = (*HELLO[:2], 0.2, *HELLO[2:])


class Loaded(Raw):
    """An engine with a diary."""

    phase, active_sequences, queued, prefix_cache_files = "ready", 0, 0, 0

    def __init__(self, name, diary, turn, failure):
        super().__init__(turn)
        self.name, self.diary, self.failure = name, diary, failure

    async def open(self):
        self.diary.append(f"open {self.name}")

    async def ready(self):
        await asyncio.sleep(0.02)
        if self.failure:
            raise self.failure

    async def close(self):
        await asyncio.sleep(0.02)
        self.diary.append(f"close {self.name}")

    @property
    def stats(self):
        return self

    async def context_length(self):
        return 64


class Diary(list):
    def resident(self, name, house, weight=10, turn=HELLO, failure=None, **options):
        def engine():
            return Loaded(name, self, turn, failure)

        return Resident(name, engine, weight, house, **options)


async def ask(model):
    return (await gather(model.stream(HI))).reply.message.text


async def test_a_model_is_loaded_when_it_is_asked_and_only_once():
    diary = Diary()
    model = diary.resident("a", House(10))
    assert model.stats.phase == "stopped"
    assert set(await asyncio.gather(*(ask(model) for _ in range(9)))) == {"Hello world"}
    assert diary == ["open a"]
    assert model.stats.phase == "ready"


async def test_room_is_made_by_who_was_idle_longest():
    diary, house = Diary(), House(20)
    a, b, c = (diary.resident(name, house) for name in "abc")
    for model in (a, b, a, c):
        await ask(model)
    assert diary == ["open a", "open b", "close b", "open c"]


async def test_a_busy_model_is_not_unloaded():
    diary, house = Diary(), House(10)
    busy, other = diary.resident("busy", house, turn=SLOW), diary.resident("other", house)
    await asyncio.gather(ask(busy), ask(other))
    assert diary == ["open busy", "close busy", "open other"]


async def test_a_pinned_model_stays_and_the_other_is_refused():
    diary, house = Diary(), House(10, patience_s=0.05)
    pinned, other = diary.resident("a", house, pinned=True), diary.resident("b", house)
    await ask(pinned)
    with pytest.raises(OverCapacity):
        await ask(other)
    assert await ask(pinned) == "Hello world"


async def test_what_never_fits_is_refused_at_once():
    with pytest.raises(OutOfMemory):
        await ask(Diary().resident("a", House(9)))


async def test_an_idle_model_leaves_when_its_time_is_over():
    diary = Diary()
    model = diary.resident("a", House(10), keep_alive_s=0.5)
    await ask(model)
    await model.context_length()
    assert 0 < model.expires_in_s <= 0.5
    await happens(lambda: diary == ["open a", "close a"])
    assert await ask(model) == "Hello world"
    await model.close()


async def test_a_failed_load_is_told_to_all_and_tried_again_by_the_next():
    diary, house = Diary(), House(10)
    model = diary.resident("a", house, failure=EngineFailed("no"))
    failures = await asyncio.gather(*(ask(model) for _ in range(3)), return_exceptions=True)
    assert {type(failure) for failure in failures} == {EngineFailed}
    with pytest.raises(EngineFailed):
        await ask(model)
    assert diary == ["open a", "close a", "open a", "close a"]


async def test_who_leaves_while_it_loads_does_not_end_the_load():
    diary = Diary()
    model = diary.resident("a", House(10))
    impatient = asyncio.create_task(ask(model))
    patient = asyncio.create_task(ask(model))
    await asyncio.sleep(0.01)
    impatient.cancel()
    assert await patient == "Hello world"
    assert diary == ["open a"]


async def test_leaving_an_answer_frees_the_model():
    diary, house = Diary(), House(10)
    model = diary.resident("a", house, turn=(Start("r", "m"), TextDelta("a"), 30.0))
    events = model.stream(HI)
    await anext(events)
    await events.aclose()
    assert model.may_leave


async def test_two_models_behind_one_server(serve):
    diary, house = Diary(), House(10)
    http = await serve({name: diary.resident(name, house) for name in ("a", "b")})
    for name in ("a", "b"):
        body = {"model": name, "messages": [{"role": "user", "content": "hi"}]}
        assert (await http.post("/v1/chat/completions", json=body)).status == 200
    rows = (await (await http.get("/api/ps")).json())["models"]
    assert {row["name"]: row["phase"] for row in rows} == {"a": "stopped", "b": "ready"}
    assert (await http.get("/health")).status == 200


ROUTES = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
    "completions": ("/v1/completions", {"prompt": "hi"}),
    "responses": ("/v1/responses", {"input": "hi"}),
    "anthropic": (
        "/v1/messages",
        {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    ),
    "gemini": ("/v1beta/models/a:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}),
}


@pytest.mark.parametrize("name", ROUTES)
async def test_a_request_says_how_long_its_model_stays(serve, name):
    diary = Diary()
    model = diary.resident("a", House(10))
    http = await serve({"a": model})
    path, body = ROUTES[name]
    field = "keepAlive" if name == "gemini" else "keep_alive"

    async def ask_for(stay):
        return await http.post(path, json=body | {"model": "a", field: stay})

    assert (await ask_for("1h30m")).status == 200
    assert 5300 < model.expires_in_s <= 5400
    for ever in (-1, "999999999999h"):
        assert (await ask_for(ever)).status == 200
        assert model.expires_in_s is None
        assert (await http.get("/api/ps")).status == 200
    wrong = await ask_for("soon")
    assert wrong.status == 400
    assert "soon" in (await wrong.json())["error"]["message"]
    assert (await ask_for(0)).status == 200
    await happens(lambda: diary == ["open a", "close a"])


async def test_a_stay_holds_until_another_is_asked_for(serve):
    model = Diary().resident("a", House(10), keep_alive_s=60)
    http = await serve({"a": model})
    path, body = ROUTES["chat"]
    for more, stays in (({}, 60), ({"keep_alive": 600}, 600), ({}, 600)):
        await http.post(path, json=body | more)
        assert stays - 5 < model.expires_in_s <= stays
