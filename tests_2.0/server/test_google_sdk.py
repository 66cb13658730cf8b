"""The official `google-genai` SDK against our server: a scripted model, and the real engine."""

import pytest
from google import genai
from google.genai import errors, types
from scripted import CALL, HELLO, Scripted

from mlxk.chat.types import Finish, Start, TextDelta, ThinkingDelta, Usage
from mlxk.contract.errors import EngineFailed

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
THOUGHT = (
    Start("r1", "m"),
    ThinkingDelta("Hm."),
    TextDelta("4"),
    Finish("length", Usage(5, 4, 2)),
)


def connected(url):
    options = types.HttpOptions(base_url=str(url).rstrip("/"))
    return genai.Client(api_key="none", http_options=options)


@pytest.fixture
async def ask(serve):
    clients = []

    async def start(*turns):
        http = await serve(Scripted(*turns))
        clients.append(connected(http._base_url))
        return clients[-1].aio.models

    yield start
    for client in clients:
        await client.aio.aclose()
        client.close()


@pytest.fixture
def models(tiny):
    client = connected(tiny.url)
    yield client.models
    client.close()


def test_a_streamed_answer_is_the_whole_answer(models):
    asked = {"model": "builtin:tiny", "contents": "hello"}
    whole = models.generate_content(**asked)
    chunks = list(models.generate_content_stream(**asked))
    assert "".join(chunk.text or "" for chunk in chunks) == whole.text
    assert chunks[-1].candidates[0].finish_reason == "STOP"
    assert chunks[-1].usage_metadata.total_token_count == whole.usage_metadata.total_token_count


def test_counted_tokens_are_the_tokens_used(models):
    counted = models.count_tokens(model="builtin:tiny", contents="hello").total_tokens
    used = models.generate_content(model="builtin:tiny", contents="hello").usage_metadata
    assert used.prompt_token_count == counted


def test_models_are_listed(models):
    assert [model.name for model in models.list()] == ["models/builtin:tiny"]
    assert models.get(model="builtin:tiny").input_token_limit > 0


def test_limits(models):
    config = {"max_output_tokens": 2, "temperature": 0, "seed": 3, "stop_sequences": ["x"]}
    short = models.generate_content(model="builtin:tiny", contents="hello", config=config)
    assert short.candidates[0].finish_reason == "MAX_TOKENS"
    assert short.usage_metadata.candidates_token_count == 2


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"model": "nobody", "contents": "hi"}, 404),
        ({"model": "builtin:tiny", "contents": "hi", "config": {"max_output_tokens": 0}}, 400),
        ({"model": "builtin:tiny", "contents": " ".join(map(str, range(9000)))}, 400),
    ],
    ids=["model", "max_tokens", "too long"],
)
def test_a_refusal_has_its_code(models, asked, code):
    with pytest.raises(errors.ClientError) as e:
        models.generate_content(**asked)
    assert e.value.code == code
    assert e.value.status in {"NOT_FOUND", "INVALID_ARGUMENT"}


@pytest.mark.parametrize("stream", [True, False])
async def test_tool_calls(ask, stream):
    models = await ask(CALL)
    declared = types.FunctionDeclaration(
        name="Read",
        parameters=types.Schema(type="OBJECT", properties={"path": types.Schema(type="STRING")}),
    )
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declared])])
    asked = {"model": "m", "contents": "hi", "config": config}
    if stream:
        chunks = [c async for c in await models.generate_content_stream(**asked)]
        calls = [call for chunk in chunks for call in chunk.function_calls or ()]
    else:
        calls = (await models.generate_content(**asked)).function_calls
    assert [(call.name, call.args) for call in calls] == [("Read", {"path": "a"})]


async def test_thoughts_are_marked(ask):
    models = await ask(THOUGHT)
    done = await models.generate_content(model="m", contents="hi")
    thought, text = done.candidates[0].content.parts
    assert (thought.thought, thought.text, text.text) == (True, "Hm.", "4")
    assert done.usage_metadata.cached_content_token_count == 2


async def test_a_failure_in_mid_stream_is_raised(ask):
    models = await ask((*HELLO[:2], EngineFailed("the engine died")))
    with pytest.raises(errors.APIError, match="the engine died"):
        [c async for c in await models.generate_content_stream(model="m", contents="hi")]


@pytest.mark.parametrize(("query", "start"), [("?alt=sse", "data: {"), ("", "[{")])
async def test_a_stream_is_events_or_a_list(serve, query, start):
    http = await serve(Scripted())
    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    response = await http.post(f"/v1beta/models/m:streamGenerateContent{query}", json=body)
    assert (await response.text()).startswith(start)
