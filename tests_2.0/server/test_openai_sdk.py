"""The official `openai` SDK against the real server: the real engine, and a scripted model."""

import asyncio
from urllib.request import urlopen

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families
from scripted import CALL, HELLO, Scripted

from mlxk.contract.errors import ContextLengthExceeded

HI = [{"role": "user", "content": "hello"}]
TOOL = {
    "type": "function",
    "function": {"name": "Read", "parameters": {"properties": {"path": {"type": "string"}}}},
}


@pytest.fixture
def client(tiny):
    with openai.OpenAI(base_url=f"{tiny.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def ask(serve):
    """A client of our server with a scripted model behind it."""
    clients = []

    async def start(*turns):
        http = await serve(Scripted(*turns))
        url = f"{http._base_url}/v1"
        client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()


def test_models(client):
    assert [model.id for model in client.models.list()] == ["builtin:tiny"]
    assert client.models.retrieve("builtin:tiny").owned_by == "mlxk"


@pytest.mark.parametrize("stream", [False, True])
def test_a_prediction_is_accepted_and_changes_nothing(client, stream):
    asked = {"model": "builtin:tiny", "messages": HI, "temperature": 0}
    plain = client.chat.completions.create(**asked)
    text = plain.choices[0].message.content
    assert plain.usage.completion_tokens_details.accepted_prediction_tokens is None
    asked["prediction"] = {"type": "content", "content": [{"type": "text", "text": text}]}
    if stream:
        with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as all:
            told = all.get_final_completion()
    else:
        told = client.chat.completions.create(**asked)
    assert told.choices[0].message.content == text
    details = told.usage.completion_tokens_details
    assert details.accepted_prediction_tokens > 0
    assert details.rejected_prediction_tokens >= 0


def test_a_prediction_of_another_kind_is_refused(client):
    prediction = {"type": "picture", "content": "x"}
    with pytest.raises(openai.BadRequestError, match="/prediction/type"):
        client.chat.completions.create(model="builtin:tiny", messages=HI, prediction=prediction)


def test_what_was_guessed_is_counted(tiny, client):
    client.chat.completions.create(
        model="builtin:tiny",
        messages=[{"role": "user", "content": "Create a file a.txt containing one two one two"}],
        tools=[TOOL],
    )
    with urlopen(f"{tiny.url}/metrics") as response:
        families = text_string_to_metric_families(response.read().decode())
        counts = {each.name: each.samples[0].value for each in families if each.samples}
    assert counts["mlxk_drafted_tokens"] >= counts["mlxk_accepted_tokens"] > 0


def test_a_streamed_answer_is_the_whole_answer(client):
    asked = {"model": "builtin:tiny", "messages": HI, "temperature": 0}
    whole = client.chat.completions.create(**asked)
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options=options))
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"


def test_limits_and_stops(client):
    create = client.chat.completions.create
    short = create(model="builtin:tiny", messages=HI, max_completion_tokens=3)
    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 3
    stopped = create(model="builtin:tiny", messages=HI, temperature=0, stop=["tiny"])
    assert stopped.choices[0].finish_reason == "stop"
    assert "tiny" not in stopped.choices[0].message.content


def test_the_same_seed_says_the_same(client):
    asked = {"model": "builtin:tiny", "messages": HI, "temperature": 2, "seed": 7, "max_tokens": 20}
    first, second = (client.chat.completions.create(**asked) for _ in range(2))
    assert first.choices[0].message.content == second.choices[0].message.content


def test_several_choices(client):
    done = client.chat.completions.create(model="builtin:tiny", messages=HI, n=3, max_tokens=5)
    assert [choice.index for choice in done.choices] == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": "nobody"}, openai.NotFoundError),
        ({"max_tokens": 0}, openai.BadRequestError),
        ({"messages": []}, openai.BadRequestError),
        (
            {"messages": [{"role": "user", "content": " ".join(map(str, range(9000)))}]},
            openai.BadRequestError,
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
                ]
            },
            openai.BadRequestError,
        ),
    ],
    ids=["model", "max_tokens", "messages", "too long", "image"],
)
def test_a_refusal_has_its_type(client, change, error):
    asked = {"model": "builtin:tiny", "messages": HI} | change
    with pytest.raises(error):
        client.chat.completions.create(**asked)


def test_a_reader_that_leaves_frees_the_engine(client, tiny):
    asked = {"model": "builtin:tiny", "messages": HI, "temperature": 2, "max_tokens": 4000}
    with client.chat.completions.create(**asked, stream=True) as stream:
        next(iter(stream))
    for _ in range(50):
        if tiny.get("/health")["active_sequences"] == 0:
            return
    pytest.fail("the sequence goes on for nobody")


async def test_tool_calls(ask):
    client = await ask(CALL)
    create = client.chat.completions.create
    done = await create(model="m", messages=HI, tools=[TOOL], tool_choice="required")
    call = done.choices[0].message.tool_calls[0]
    assert (call.id, call.function.name, call.function.arguments) == ("t1", "Read", '{"path":"a"}')
    assert done.choices[0].finish_reason == "tool_calls"


async def test_streamed_tool_calls(ask):
    client = await ask(CALL)
    strict = {"type": "function", "function": TOOL["function"] | {"strict": True}}
    async with client.chat.completions.stream(model="m", messages=HI, tools=[strict]) as stream:
        done = await stream.get_final_completion()
    call = done.choices[0].message.tool_calls[0]
    assert (call.id, call.function.name, call.function.arguments) == ("t1", "Read", '{"path":"a"}')


async def test_a_failure_in_mid_stream_is_raised(ask):
    client = await ask((*HELLO[:2], ContextLengthExceeded("too long after all")))
    stream = await client.chat.completions.create(model="m", messages=HI, stream=True)
    with pytest.raises(openai.APIError, match="too long after all"):
        [chunk async for chunk in stream]


async def test_the_clients_time_out_is_its_own(ask):
    client = await ask((30.0,))
    with pytest.raises(openai.APITimeoutError):
        await client.chat.completions.create(model="m", messages=HI, timeout=0.2)


async def test_many_at_once(ask):
    client = await ask(HELLO)
    create = client.chat.completions.create
    answers = await asyncio.gather(*(create(model="m", messages=HI) for _ in range(20)))
    assert {a.choices[0].message.content for a in answers} == {"Hello world"}
