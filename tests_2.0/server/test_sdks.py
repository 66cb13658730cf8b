"""One table of questions over every official SDK: the same answers, refusals and ends."""

import asyncio

import orjson
import pytest
from scripted import HELLO, Scripted
from sdks import SCHEMA, Anthropic, Ask, Google, LiteLLM, OpenAIChat, OpenAIResponses

from mlxk.chat.types import (
    Finish,
    Start,
    TextDelta,
    ThinkingDelta,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)
from mlxk.contract.errors import OverCapacity

pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm"),
    pytest.mark.filterwarnings("ignore::UserWarning:pydantic"),
]
NATIVE = {
    "openai": OpenAIChat,
    "responses": OpenAIResponses,
    "anthropic": Anthropic,
    "google": Google,
}
SDKS = NATIVE | {
    "litellm-openai": lambda url, **more: LiteLLM(url, "openai/", "/v1", **more),
    "litellm-anthropic": lambda url, **more: LiteLLM(url, "anthropic/", "", **more),
}
EVERY = pytest.mark.parametrize("name", SDKS)
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in SDKS if name not in NATIVE]
REAL = pytest.mark.parametrize("name", [*NATIVE, *SLOW])
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
THOUGHT = (
    Start("r1", "m"),
    ThinkingDelta("Let me "),
    ThinkingDelta("see."),
    TextDelta("4"),
    Finish("stop", Usage(5, 4)),
)
CALLS = (
    Start("r1", "m"),
    TextDelta("I write."),
    ToolUseStart("call_a", "Write"),
    ToolUseDelta('{"path":"a",'),
    ToolUseDelta('"content":"ö\\n"}'),
    ToolUseStart("call_b", "Write"),
    ToolUseDelta('{"path":"b","content":""}'),
    Finish("tool_use", Usage(5, 9)),
)


@pytest.fixture
async def sdk():
    opened = []

    def start(name, url, **options):
        opened.append(SDKS[name](str(url).rstrip("/"), **options))
        return opened[-1]

    yield start
    for one in opened:
        await one.close()


@pytest.fixture
async def scripted(serve, sdk):
    """An SDK in front of our server with these turns behind it."""

    async def start(name, *turns, retries=0):
        start.model = Scripted(*turns)
        http = await serve(start.model)
        return sdk(name, http._base_url, retries=retries)

    return start


@EVERY
@BOTH
async def test_text(scripted, name, stream):
    said = await (await scripted(name, HELLO)).ask(Ask(stream=stream))
    assert (said.text, said.reason, said.tokens) == ("Hello world", "stop", (5, 2))


@EVERY
@BOTH
async def test_thoughts_are_apart_from_text(scripted, name, stream):
    said = await (await scripted(name, THOUGHT)).ask(Ask(stream=stream))
    assert (said.thoughts, said.text) == ("Let me see.", "4")


@EVERY
@BOTH
async def test_several_tool_calls(scripted, name, stream):
    said = await (await scripted(name, CALLS)).ask(Ask(stream=stream, tools=True))
    assert said.calls == [
        ("Write", {"path": "a", "content": "ö\n"}),
        ("Write", {"path": "b", "content": ""}),
    ]
    assert (said.text, said.reason) == ("I write.", "tool_use")


@REAL
async def test_a_forced_tool_is_called_by_the_real_model(tiny, sdk, name):
    text = "Create a file hello.txt containing Hello world"
    ask = Ask(text, "builtin:tiny", tools=True, forced=True)
    said = await sdk(name, tiny.url).ask(ask)
    assert said.calls == [("Write", {"path": "hello.txt", "content": "Hello world"})]
    assert said.reason == "tool_use"


@REAL
async def test_structured_output_of_the_real_model(tiny, sdk, name):
    said = await sdk(name, tiny.url).ask(Ask(model="builtin:tiny", schema=True))
    value = orjson.loads(said.text)
    assert value.keys() == SCHEMA["properties"].keys()
    assert type(value["ok"]) is bool
    assert value["n"] in (1, 2, 3)


@REAL
async def test_limits_of_the_real_model(tiny, sdk, name):
    client = sdk(name, tiny.url)
    short = await client.ask(Ask(model="builtin:tiny", max_tokens=16))
    assert (short.reason, short.tokens[1]) == ("length", 16)
    stopped = await client.ask(Ask(model="builtin:tiny", stop=("tiny",)))
    assert stopped.reason == "stop"
    assert stopped.text
    assert "tiny" not in stopped.text


@REAL
@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (Ask(model="nobody"), 404),
        (Ask(model="builtin:tiny", image=True), 400),
        (Ask(" ".join(map(str, range(9000))), "builtin:tiny"), 400),
    ],
    ids=["model", "image", "too long"],
)
async def test_refusals_of_the_real_server(tiny, sdk, name, ask, status):
    client = sdk(name, tiny.url)
    with pytest.raises(client.refusal) as e:
        await client.ask(ask)
    assert getattr(e.value, "status_code", None) or e.value.code == status


@EVERY
async def test_the_time_out_is_the_clients(scripted, name):
    client = await scripted(name, (30.0,))
    with pytest.raises(client.timeout):
        await asyncio.wait_for(client.ask(Ask(timeout=0.3)), 10)


@pytest.mark.parametrize("name", NATIVE)
async def test_leaving_a_stream_frees_the_engine(scripted, name):
    client = await scripted(name, (Start("r", "m"), TextDelta("a"), 30.0))
    async with client.reading(Ask(stream=True)):
        assert scripted.model.running == 1
    await asyncio.wait_for(scripted.model.closed.wait(), 2)


@pytest.mark.parametrize("name", NATIVE)
async def test_cancelling_a_question_frees_the_engine(scripted, name):
    client = await scripted(name, (30.0, *HELLO))
    asking = asyncio.create_task(client.ask(Ask()))
    while not scripted.model.running:
        await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait_for(scripted.model.closed.wait(), 2)
    assert scripted.model.running == 0


@pytest.mark.parametrize("name", ["openai", "responses", "anthropic"])
async def test_a_full_house_is_tried_again(scripted, name):
    client = await scripted(name, (OverCapacity("full"),), HELLO, retries=2)
    assert (await client.ask(Ask())).text == "Hello world"
    assert len(scripted.model.requests) == 2


@pytest.mark.parametrize("name", NATIVE)
async def test_many_at_once_by_the_real_model(tiny, sdk, name):
    client = sdk(name, tiny.url)
    said = await asyncio.gather(*(client.ask(Ask(model="builtin:tiny")) for _ in range(12)))
    assert len({one.text for one in said}) == 1
