"""POST /v1/chat/completions: answers, refusals, and readers that leave."""

import asyncio
from io import BytesIO

import orjson
import pytest
from scripted import CALL, HELLO, Raw, Scripted
from waiting import happens

from mlxk.chat.types import Start, TextDelta
from mlxk.contract.errors import (
    ContextLengthExceeded,
    EngineFailed,
    OverCapacity,
)
from mlxk.wire import openai_chat, sse

CHAT = "/v1/chat/completions"
HI = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


async def events_of(response):
    decoder = openai_chat.Decoder()
    frames = sse.Decoder().feed(await response.read())
    return [event for frame in frames for event in decoder.feed(frame)]


async def test_a_whole_answer(serve):
    http = await serve(Scripted())
    response = await http.post(CHAT, json=HI)
    body = await response.json()
    assert body["choices"][0]["message"]["content"] == "Hello world"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


@pytest.mark.parametrize("turn", [HELLO, CALL], ids=["text", "tool call"])
async def test_a_streamed_answer(serve, turn):
    http = await serve(Scripted(turn))
    asked = HI | {"stream": True, "stream_options": {"include_usage": True}}
    response = await http.post(CHAT, json=asked)
    assert response.headers["Content-Type"] == "text/event-stream"
    assert await events_of(response) == list(turn)


IDS = {
    CHAT: (HI, "chatcmpl-r1"),
    "/v1/completions": ({"prompt": "Hi"}, "cmpl-r1"),
    "/v1/responses": ({"input": "Hi"}, "resp_r1"),
    "/v1/messages": ({"messages": HI["messages"], "max_tokens": 9}, "msg_r1"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", IDS)
async def test_an_answer_has_an_id_of_its_apis_kind(serve, path, stream):
    http = await serve(Raw(CALL))
    asked, id = IDS[path]
    told = await (await http.post(path, json=asked | {"model": "m", "stream": stream})).text()
    assert f'"id":"{id}"' in told
    assert ('"id":"fc_r1_0"' in told) == (path == "/v1/responses")


async def test_usage_is_streamed_only_when_it_was_asked_for(serve):
    http = await serve(Scripted())
    body = await (await http.post(CHAT, json=HI | {"stream": True})).text()
    assert "usage" not in body
    assert body.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
async def test_several_choices_are_several_requests_with_seeds_of_their_own(serve, stream):
    model = Scripted()
    http = await serve(model)
    response = await http.post(CHAT, json=HI | {"n": 3, "seed": 7, "stream": stream})
    if stream:
        frames = [f.data for f in sse.Decoder().feed(await response.read()) if f.data]
        choices = [choice for frame in frames for choice in frame["choices"]]
        ends = [choice["index"] for choice in choices if choice["finish_reason"]]
        assert sorted(ends) == [0, 1, 2]
    else:
        choices = (await response.json())["choices"]
        assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert [r.sampling.seed for r in model.requests] == [7, 8, 9]
    assert {r.client for r in model.requests} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": -1}, 400, "max_tokens"),
        ({"max_tokens": "x"}, 400, "max_tokens"),
        ({"max_tokens": 10**9}, 400, "max_tokens"),
        ({"max_tokens": 1.5}, 400, "max_tokens"),
        ({"messages": []}, 400, "messages"),
        ({"messages": "Hi"}, 400, "messages"),
        ({"messages": None}, 400, "messages"),
        ({"messages": [{"content": "Hi"}]}, 400, "messages.0"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, 400, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 5}]}, 400, "messages.0.content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            400,
            "messages.0.content.0",
        ),
        ({"temperature": -1}, 400, "temperature"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"top_p": 2}, 400, "top_p"),
        ({"stop": [5]}, 400, "stop.0"),
        ({"stop": 3}, 400, "stop"),
        ({"n": 0}, 400, "n"),
        ({"seed": 1.5}, 400, "seed"),
        ({"top_logprobs": 3}, 400, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs"),
        ({"logit_bias": {"x": 1}}, 400, "logit_bias"),
        ({"tools": [{"type": "function"}]}, 400, "tools.0"),
        ({"tool_choice": "perhaps"}, 400, "tool_choice"),
        ({"functions": [{"name": "f"}]}, 400, "functions"),
        ({"response_format": {"type": "xml"}}, 400, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, 400, "response_format.json_schema.schema"),
        ({"model": "other"}, 404, None),
        ({"model": 5}, 400, "model"),
    ],
    ids=str,
)
async def test_a_wrong_request_is_answered_in_the_apis_own_words(serve, change, status, param):
    http = await serve(Scripted())
    response = await http.post(CHAT, json=HI | change)
    assert response.status == status
    error = (await response.json())["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert (await http.post(CHAT, json=HI)).status == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"5", b'"\xff"', b"NaN", b"[" * 100_000],
    ids=["empty", "cut", "list", "number", "not UTF-8", "NaN", "deep"],
)
async def test_a_body_that_is_no_request_is_refused(serve, body):
    http = await serve(Scripted())
    response = await http.post(CHAT, data=body, headers={"Content-Type": "application/json"})
    assert response.status == 400
    assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_parameters_nested_without_end_are_refused(serve):
    http = await serve(Scripted())
    deep = {}
    for _ in range(200):
        deep = {"properties": {"a": deep}}
    tool = {"type": "function", "function": {"name": "f", "parameters": deep}}
    response = await http.post(CHAT, json=HI | {"tools": [tool]})
    assert response.status == 400
    assert "nested too deeply" in (await response.json())["error"]["message"]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "tool", "content": "ok", "tool_call_id": "t1"},
        {"role": "tool", "content": [{"type": "text", "text": "ok"}], "tool_call_id": "t1"},
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": "", "reasoning_content": "Hm."},
        {"role": "user", "content": ""},
        {"role": "user", "content": "\ud83d"},
        {"role": "user"},
    ],
    ids=str,
)
async def test_what_clients_send_is_understood(serve, message):
    http = await serve(Scripted())
    response = await http.post(CHAT, json=HI | {"messages": [message, *HI["messages"], message]})
    assert response.status == 200


async def test_unknown_parameters_are_ignored_with_a_warning(serve):
    http = await serve(Scripted())
    response = await http.post(CHAT, json=HI | {"colour": "red"})
    assert response.status == 200
    assert "colour" in response.headers["Mlxk-Warning"]


async def test_many_unknown_parameters_cost_little_and_fit_into_a_header(serve):
    http = await serve(Scripted())
    many = {f"f\u00fcr_{n}_{'x' * 99}": n for n in range(20_000)}
    async with asyncio.timeout(5):
        response = await http.post(CHAT, data=BytesIO(orjson.dumps(HI | many)))
    assert response.status == 200
    warning = response.headers["Mlxk-Warning"]
    assert r"f\xfcr_0_" in warning
    assert len(warning) <= 4000


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_packed_as_it_says_is_refused(serve, encoding, caplog):
    http = await serve(Scripted())
    response = await http.post(CHAT, data=b"no zip", headers={"Content-Encoding": encoding})
    assert response.status == 400
    assert not caplog.records


async def test_ten_megabytes_are_read(serve):
    model = Scripted()
    http = await serve(model)
    big = HI | {"messages": [{"role": "user", "content": "x" * 10_000_000}]}
    assert (await http.post(CHAT, data=BytesIO(orjson.dumps(big)))).status == 200
    assert len(model.requests[0].messages[0].text) == 10_000_000


async def test_more_than_the_limit_is_refused(serve):
    http = await serve(Scripted(), body_bytes=1000)
    response = await http.post(CHAT, data=b"x" * 2000)
    assert response.status == 413
    assert (await response.json())["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_the_first_event_has_a_status(serve, stream):
    error = ContextLengthExceeded("too long", prompt_tokens=90, context_length=64)
    http = await serve(Scripted((error,)))
    response = await http.post(CHAT, json=HI | {"stream": stream})
    assert response.status == 400
    body = (await response.json())["error"]
    assert body["code"] == "context_length_exceeded"
    assert "maximum context length is 64 tokens" in body["message"]


async def test_a_full_house_says_when_to_come_back(serve):
    http = await serve(Scripted((OverCapacity("full"),)))
    response = await http.post(CHAT, json=HI)
    assert (response.status, response.headers["Retry-After"]) == (503, "1")


async def test_a_failure_in_mid_stream_is_told_in_the_stream(serve):
    http = await serve(Scripted((*HELLO[:2], EngineFailed("the engine died"))))
    body = await (await http.post(CHAT, json=HI | {"stream": True})).text()
    assert "Hello" in body
    assert "the engine died" in body


async def test_a_bug_is_a_500_and_the_next_request_works(serve, caplog):
    http = await serve(Scripted((RuntimeError("oops"),), HELLO))
    response = await http.post(CHAT, json=HI)
    assert response.status == 500
    assert (await response.json())["error"]["type"] == "server_error"
    assert (await http.post(CHAT, json=HI)).status == 200


async def test_headers_and_heartbeats_come_while_the_model_is_silent(serve):
    http = await serve(Scripted((1.0, *HELLO)), patience_s=0.05, heartbeat_s=0.05)
    response = await http.post(CHAT, json=HI | {"stream": True})
    first = await asyncio.wait_for(response.content.readline(), 0.9)
    assert first.startswith(b":")
    assert b"[DONE]" in await response.read()


@pytest.mark.parametrize("stream", [False, True])
async def test_leaving_closes_the_stream(serve, stream):
    model = Scripted((Start("r", "m"), TextDelta("a"), 30.0))
    http = await serve(model)
    asking = asyncio.create_task(http.post(CHAT, json=HI | {"stream": stream}))
    await happens(lambda: model.running)
    asking.cancel() if not stream else (await asking).close()
    await asyncio.wait_for(model.closed.wait(), 2)
    assert (await (await http.get("/health")).json())["active_sequences"] == 0


async def test_two_hundred_readers_that_leave_free_everything(serve, caplog):
    model = Scripted((Start("r", "m"), *[TextDelta("a"), 0.01] * 1000))
    http = await serve(model)
    http.connector._limit = 0
    responses = [http.post(CHAT, json=HI | {"stream": True}) for _ in range(200)]
    for response in await asyncio.gather(*responses):
        response.close()
    await happens(lambda: model.running == 0)
    assert not caplog.records


async def test_a_reader_that_does_not_read_is_cut_off(serve):
    model = Scripted((Start("r", "m"), *[TextDelta("a" * 1_000_000)] * 50))
    http = await serve(model, stalled_s=0.2, heartbeat_s=0.1, patience_s=0.1)
    response = await http.post(CHAT, json=HI | {"stream": True})
    await asyncio.wait_for(model.closed.wait(), 5)
    response.close()
    assert model.running == 0
