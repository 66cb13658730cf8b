"""The Responses API by the `openai` SDK, also with litellm in front of it."""

import os

import litellm
import openai
import pytest
from scripted import CALL, HELLO, Scripted

from mlxk.chat.fold import Reply
from mlxk.chat.types import (
    Finish,
    Message,
    Request,
    Start,
    Text,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from mlxk.contract.errors import EngineFailed
from mlxk.server.responses import Responses
from mlxk.wire.frames import Asked

THOUGHT = (Start("r1", "m"), ThinkingDelta("Hm."), TextDelta("4"), Finish("stop", Usage(5, 4)))
CUSTOM = {"type": "custom", "name": "Read"}
FUNCTION = {"type": "function", "name": "Read", "parameters": {"type": "object"}}
SPACE = {"type": "namespace", "name": "files", "tools": [FUNCTION]}


@pytest.fixture
async def ask(serve):
    clients = []

    async def start(*turns):
        start.model = Scripted(*turns)
        http = await serve(start.model)
        url = f"{str(http._base_url).rstrip('/')}/v1"
        clients.append(openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0))
        return clients[-1].responses

    yield start
    for client in clients:
        await client.close()


async def test_a_streamed_answer_is_the_whole_answer(ask):
    responses = await ask(THOUGHT)
    whole = await responses.create(model="m", input="hi")
    async with responses.stream(model="m", input="hi") as stream:
        streamed = await stream.get_final_response()
    assert streamed.output_text == whole.output_text == "4"
    assert streamed.output[0].content[0].text == whole.output[0].content[0].text == "Hm."
    assert streamed.status == whole.status == "completed"
    assert streamed.usage == whole.usage


async def test_an_answer_cut_by_its_limit_is_incomplete(ask):
    responses = await ask((*HELLO[:2], Finish("length", Usage(5, 4))))
    made = await responses.create(model="m", input="hi", max_output_tokens=4)
    assert (made.status, made.incomplete_details.reason) == ("incomplete", "max_output_tokens")


async def test_events_are_numbered_and_come_in_order(ask):
    responses = await ask(HELLO)
    events = [e async for e in await responses.create(model="m", input="hi", stream=True)]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_function_call(ask, stream):
    responses = await ask(CALL)
    item = await only_item(responses, stream, FUNCTION)
    assert (item.type, item.call_id, item.arguments) == ("function_call", "t1", '{"path":"a"}')


@pytest.mark.parametrize("stream", [True, False])
async def test_a_custom_tool_is_answered_with_its_text(ask, stream):
    script = [e if type(e) is not type(CALL[2]) else type(e)('{"input": "a\\nb"}') for e in CALL]
    responses = await ask(script)
    item = await only_item(responses, stream, CUSTOM)
    assert (item.type, item.call_id, item.input) == ("custom_tool_call", "t1", "a\nb")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_tool_of_a_namespace_keeps_it(ask, stream):
    script = [CALL[0], type(CALL[1])("t1", "files__Read"), *CALL[2:]]
    responses = await ask(script)
    item = await only_item(responses, stream, SPACE)
    assert (item.name, item.namespace) == ("Read", "files")


async def only_item(responses, stream, tool):
    asked = {"model": "m", "input": "hi", "tools": [tool]}
    if not stream:
        return (await responses.create(**asked)).output[0]
    events = [e async for e in await responses.create(**asked, stream=True)]
    return next(e.item for e in events if e.type == "response.output_item.done")


async def test_an_answer_goes_on_from_an_earlier_one(ask):
    responses = await ask(HELLO)
    first = await responses.create(model="m", input="hi", instructions="Be brief.")
    await responses.create(model="m", input="and?", previous_response_id=first.id)
    said = [(m.role, m.text) for m in ask.model.requests[1].messages]
    assert said[-3:] == [("user", "hi"), ("assistant", "Hello world"), ("user", "and?")]


async def test_an_answer_is_kept_until_it_is_deleted(ask):
    responses = await ask(HELLO)
    made = await responses.create(model="m", input="hi")
    assert (await responses.retrieve(made.id)).output_text == "Hello world"
    await responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await responses.retrieve(made.id)


async def test_an_answer_that_is_not_to_be_kept_is_not(ask):
    responses = await ask(HELLO)
    made = await responses.create(model="m", input="hi", store=False)
    with pytest.raises(openai.NotFoundError):
        await responses.create(model="m", input="and?", previous_response_id=made.id)


async def test_a_failure_in_mid_stream_ends_the_response(ask):
    responses = await ask((*HELLO[:2], EngineFailed("the engine died")))
    events = [e async for e in await responses.create(model="m", input="hi", stream=True)]
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.message == "the engine died"


@pytest.mark.filterwarnings("ignore")
async def test_litellm(serve, monkeypatch):
    monkeypatch.setitem(os.environ, "OPENAI_API_KEY", "none")
    http = await serve(Scripted(CALL))
    done = await litellm.acompletion(
        model="openai/responses/m",
        api_base=str(http._base_url).rstrip("/") + "/v1",
        messages=[{"role": "user", "content": "hi"}],
        tools=[
            {"type": "function", "function": {"name": "Read", "parameters": {"type": "object"}}}
        ],
    )
    call = done.choices[0].message.tool_calls[0]
    assert call.function.name == "Read"
    assert done.usage.total_tokens == 7


def kept_answer(store, number, text="x", previous=None):
    request = Request("m", (Message("user", (Text(text),)),))
    asked = store.continued(Asked(request, previous=previous))
    reply = Reply(f"r{number}", "m", Message("assistant", (Text(text),)), "stop", Usage())
    store.keep(asked, reply, {"id": reply.id})


def test_answers_are_kept_within_a_number_and_within_bytes():
    few = Responses(limit=3)
    small = Responses(limit_bytes=200_000)
    for number in range(9):
        kept_answer(few, number)
        kept_answer(small, number, "x" * 30_000)
    assert [f"r{n}" in few for n in range(9)] == [False] * 6 + [True] * 3
    assert ["r8" in small, "r7" in small, "r0" in small] == [True, True, False]
    assert small.bytes <= 200_000


def test_a_long_conversation_takes_room_as_it_grows():
    store = Responses(limit_bytes=1_000_000)
    kept_answer(store, 0, "x" * 1000)
    for number in range(1, 100):
        kept_answer(store, number, "x" * 1000, previous=f"r{number - 1}")
    assert "r99" in store
    assert store.bytes <= 1_000_000


def test_the_same_answer_kept_twice_and_forgotten_leaves_nothing():
    store = Responses()
    kept_answer(store, 1)
    kept_answer(store, 1, "longer")
    store.forget("r1")
    assert store.bytes == 0


def test_what_is_larger_than_all_room_is_not_kept():
    store = Responses(limit_bytes=10_000)
    kept_answer(store, 1, "x" * 20_000)
    assert "r1" not in store
    assert store.bytes == 0


async def test_instructions_hold_for_one_answer_only(ask):
    responses = await ask(HELLO)
    first = await responses.create(model="m", input="hi", instructions="Be brief.")
    await responses.create(
        model="m", input="and?", previous_response_id=first.id, instructions="Be long."
    )
    said = [(m.role, m.text) for m in ask.model.requests[1].messages]
    assert said[0] == ("system", "Be long.")
    assert len(said) == 4
