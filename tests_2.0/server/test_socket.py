"""Responses over a WebSocket, by the `openai` SDK and by hand."""

import asyncio
import signal

import aiohttp
import openai
import orjson
import pytest
from processes import Server, gone
from scripted import CALL, HELLO, Scripted
from waiting import happens

from mlxk.chat.types import Start, TextDelta
from mlxk.contract.errors import EngineFailed, OverCapacity

HI = {"type": "response.create", "model": "m", "input": "hi"}


@pytest.fixture
async def connected(serve):
    """A connection of the SDK to a server of these turns, and the model behind it."""
    clients = []

    async def start(*turns, **options):
        model = Scripted(*turns)
        http = await serve(model, **options)
        url = f"{str(http._base_url).rstrip('/')}/v1"
        client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
        connection = await client.responses.connect().enter()
        clients.append((client, connection))
        return connection, model

    yield start
    for client, connection in clients:
        await connection.close()
        await client.close()


async def answer(connection, **fields):
    """Events up to the last of one answer."""
    await connection.send({**HI, **fields})
    events = []
    while not events or events[-1].type not in ("response.completed", "response.failed", "error"):
        events.append(await asyncio.wait_for(connection.recv(), 10))
    return events


async def test_an_answer_is_the_events_of_a_stream(connected):
    connection, _ = await connected()
    events = await answer(connection)
    assert events[0].type == "response.created"
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert events[-1].response.output_text == "Hello world"
    assert events[-1].response.usage.input_tokens == 5


async def test_one_answer_after_another_on_one_connection(connected):
    connection, model = await connected(HELLO, CALL, HELLO)
    tool = {"type": "function", "name": "Read", "parameters": {"type": "object"}}
    await answer(connection)
    called = (await answer(connection, tools=[tool]))[-1].response
    assert called.output[0].call_id == "t1"
    result = {"type": "function_call_output", "call_id": "t1", "output": "text"}
    await answer(connection, input=[result], previous_response_id=called.id)
    roles = [message.role for message in model.requests[2].messages]
    assert roles == ["user", "assistant", "tool"]


async def test_what_is_not_kept_for_others_is_remembered_here(connected):
    connection, model = await connected()
    first = (await answer(connection, store=False, instructions="Be brief."))[-1].response
    await answer(connection, previous_response_id=first.id, input="and?", instructions="Be long.")
    said = [(m.role, m.text) for m in model.requests[1].messages]
    assert said == [
        ("system", "Be long."),
        ("user", "hi"),
        ("assistant", "Hello world"),
        ("user", "and?"),
    ]


async def test_warming_up_reads_the_prompt_and_says_nothing(connected):
    connection, model = await connected()
    warmed = (await answer(connection, generate=False))[-1].response
    assert (warmed.output, warmed.usage.output_tokens, warmed.usage.input_tokens) == ([], 0, 5)
    assert model.requests[0].max_tokens == 1
    await answer(connection, previous_response_id=warmed.id, input="go on")
    assert [m.text for m in model.requests[1].messages] == ["hi", "go on"]
    assert model.requests[1].max_tokens is None


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "nobody"}, 404, "model_not_found"),
        ({"input": None}, 400, "invalid_value"),
        ({"max_output_tokens": 0}, 400, "invalid_document"),
        ({"previous_response_id": "resp_none"}, 404, "previous_response_not_found"),
        ({"type": "response.steer"}, 400, "invalid_value"),
    ],
    ids=str,
)
async def test_a_wrong_request_is_an_event_and_the_next_one_works(connected, fields, status, code):
    connection, _ = await connected()
    (event,) = await answer(connection, **fields)
    assert event.type == "error"
    assert (event.status, event.code, event.error["code"]) == (status, code, code)
    assert event.message
    assert (await answer(connection))[-1].type == "response.completed"


async def test_text_that_is_no_json_is_an_event(serve):
    http = await serve(Scripted())
    async with http.ws_connect("/v1/responses") as ws:
        for text in ("{", "[]", "null", '"x"', "[" * 10_000):
            await ws.send_str(text)
            assert orjson.loads((await ws.receive()).data)["status"] == 400
        await ws.send_str(orjson.dumps(HI).decode())
        assert orjson.loads((await ws.receive()).data)["type"] == "response.created"


async def test_a_full_house_is_told(connected):
    connection, _ = await connected((OverCapacity("full"),), HELLO)
    (event,) = await answer(connection)
    assert (event.status, event.code) == (503, "over_capacity")
    assert (await answer(connection))[-1].type == "response.completed"


async def test_a_failure_in_mid_answer_ends_it(connected):
    connection, _ = await connected((*HELLO[:2], EngineFailed("the engine died")), HELLO)
    events = await answer(connection)
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.message == "the engine died"
    assert (await answer(connection))[-1].type == "response.completed"


async def test_silence_is_filled(connected):
    connection, _ = await connected((HELLO[0], 0.3, *HELLO[1:]), heartbeat_s=0.05)
    types = [event.type for event in await answer(connection)]
    assert types.count("response.in_progress") > 2


async def test_leaving_frees_the_engine(serve):
    model = Scripted((Start("r", "m"), TextDelta("a"), 30.0))
    http = await serve(model)
    async with http.ws_connect("/v1/responses") as ws:
        await ws.send_str(orjson.dumps(HI).decode())
        await ws.receive()
    await asyncio.wait_for(model.closed.wait(), 2)


async def test_a_reader_that_does_not_read_is_cut_off(serve):
    model = Scripted((Start("r", "m"), *[TextDelta("a" * 1_000_000)] * 50))
    http = await serve(model, stalled_s=0.2)
    async with http.ws_connect("/v1/responses", max_msg_size=0) as ws:
        await ws.send_str(orjson.dumps(HI).decode())
        await asyncio.wait_for(model.closed.wait(), 5)
    assert model.running == 0


async def test_more_requests_than_may_wait_are_refused(serve):
    http = await serve(Scripted((0.5, *HELLO)))
    async with http.ws_connect("/v1/responses") as ws:
        for _ in range(20):
            await ws.send_str(orjson.dumps(HI).decode())
        assert orjson.loads((await ws.receive()).data)["code"] == "over_capacity"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer no"}, {"Origin": "http://x.y"}])
async def test_who_may_not_ask_may_not_connect(serve, headers):
    http = await serve(Scripted(), api_key="sesame")
    with pytest.raises(aiohttp.WSServerHandshakeError) as e:
        await http.ws_connect("/v1/responses", headers=headers)
    assert e.value.status in (401, 403)


async def test_each_answer_is_counted_and_logged(serve):
    lines = []
    http = await serve(Scripted(), log=lines.append)
    async with http.ws_connect("/v1/responses") as ws:
        for _ in range(2):
            await ws.send_str(orjson.dumps(HI).decode())
            while orjson.loads((await ws.receive()).data)["type"] != "response.completed":
                pass
    await happens(lambda: len(lines) == 3)
    told = [orjson.loads(line) for line in lines]
    assert [(line["status"], line.get("completion_tokens")) for line in told] == [
        (200, 2),
        (200, 2),
        (101, None),
    ]


async def test_an_open_connection_does_not_hold_up_the_end(home):
    server = Server("builtin:tiny", "--port", "auto").ready()
    try:
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{server.url}/v1/responses"):
            children = server.children()
            server.send(signal.SIGINT)
            assert await asyncio.to_thread(server.ended, 5) == 0
        assert gone(children)
    finally:
        server.close()
