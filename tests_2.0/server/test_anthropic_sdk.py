"""The official `anthropic` SDK against our server: a scripted model, and the real engine."""

import anthropic
import pytest
from scripted import CALL, HELLO, Scripted

from mlxk.chat.types import Finish, Start, TextDelta, ThinkingDelta, Usage
from mlxk.contract.errors import ContextLengthExceeded, EngineFailed, OverCapacity

HI = [{"role": "user", "content": "hello"}]
TOOL = {
    "name": "Read",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
}
THOUGHT = (
    Start("r1", "m"),
    ThinkingDelta("Let me "),
    ThinkingDelta("see."),
    TextDelta("4"),
    Finish("stop", Usage(5, 4), "END"),
)


@pytest.fixture
async def ask(serve):
    clients = []

    async def start(*turns):
        http = await serve(Scripted(*turns))
        url = str(http._base_url).rstrip("/")
        client = anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0)
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()


@pytest.fixture
def client(tiny):
    with anthropic.Anthropic(base_url=tiny.url, api_key="none", max_retries=0) as client:
        yield client


def test_a_streamed_answer_is_the_whole_answer(client):
    asked = {"model": "builtin:tiny", "messages": HI, "max_tokens": 200}
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[0].text == whole.content[0].text
    assert streamed.stop_reason == whole.stop_reason == "end_turn"
    assert streamed.usage.output_tokens == whole.usage.output_tokens


def test_counted_tokens_are_the_tokens_used(client):
    asked = {"model": "builtin:tiny", "messages": HI, "system": "Be brief.", "tools": [TOOL]}
    counted = client.messages.count_tokens(**asked).input_tokens
    usage = client.messages.create(**asked, max_tokens=1).usage
    assert usage.input_tokens + usage.cache_read_input_tokens == counted


def test_limits_are_told_apart(client):
    asked = {"model": "builtin:tiny", "messages": HI}
    assert client.messages.create(**asked, max_tokens=2).stop_reason == "max_tokens"
    stopped = client.messages.create(**asked, max_tokens=99, stop_sequences=["tiny"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "tiny")


def test_models(client):
    assert [model.id for model in client.models.list()] == ["builtin:tiny"]
    assert client.models.retrieve("builtin:tiny").type == "model"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": "nobody"}, anthropic.NotFoundError),
        ({"max_tokens": 0}, anthropic.BadRequestError),
        ({"messages": []}, anthropic.BadRequestError),
        ({"messages": [{"role": "robot", "content": "hi"}]}, anthropic.BadRequestError),
        (
            {"messages": [{"role": "user", "content": [{"type": "x"}]}]},
            anthropic.BadRequestError,
        ),
    ],
    ids=["model", "max_tokens", "messages", "role", "part"],
)
def test_a_refusal_has_its_type(client, change, error):
    with pytest.raises(error) as e:
        client.messages.create(
            **{"model": "builtin:tiny", "messages": HI, "max_tokens": 9} | change
        )
    assert e.value.body["type"] == "error"


def test_an_overflow_is_told_in_anthropics_words(client):
    long = [{"role": "user", "content": " ".join(map(str, range(9000)))}]
    with pytest.raises(
        anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > \d+ maximum"
    ):
        client.messages.create(model="builtin:tiny", messages=long, max_tokens=9)


@pytest.mark.parametrize("stream", [True, False])
async def test_tool_calls(ask, stream):
    client = await ask(CALL)
    asked = {"model": "m", "messages": HI, "max_tokens": 99, "tools": [TOOL]}
    if stream:
        async with client.messages.stream(**asked) as stream_:
            message = await stream_.get_final_message()
    else:
        message = await client.messages.create(**asked, tool_choice={"type": "any"})
    call = message.content[0]
    assert (call.id, call.name, call.input) == ("t1", "Read", {"path": "a"})
    assert message.stop_reason == "tool_use"


async def test_thoughts_are_signed_blocks_of_their_own(ask):
    client = await ask(THOUGHT)
    async with client.messages.stream(model="m", messages=HI, max_tokens=99) as stream:
        message = await stream.get_final_message()
    thought, text = message.content
    assert (thought.thinking, text.text) == ("Let me see.", "4")
    assert thought.signature
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (OverCapacity("full"), anthropic.APIStatusError),
        (EngineFailed("dead"), anthropic.InternalServerError),
        (ContextLengthExceeded("long"), anthropic.BadRequestError),
    ],
    ids=["full", "dead", "long"],
)
async def test_failures_before_the_stream_have_a_status(ask, failure, error):
    client = await ask((failure,))
    with pytest.raises(error):
        await client.messages.create(model="m", messages=HI, max_tokens=9, stream=True)


async def test_a_failure_in_mid_stream_is_raised(ask):
    client = await ask((*HELLO[:2], EngineFailed("the engine died")))
    stream = await client.messages.create(model="m", messages=HI, max_tokens=9, stream=True)
    with pytest.raises(anthropic.APIStatusError, match="the engine died"):
        [event async for event in stream]
