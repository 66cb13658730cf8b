"""A remote API as a ChatModel: what it says, what it refuses, when it is asked again."""

import asyncio
import gzip
from dataclasses import replace

import pytest
from aiohttp import web
from scripted import CALL, HELLO, Scripted

from mlxk.chat.fold import fold, gather
from mlxk.chat.types import (
    Finish,
    Message,
    Request,
    Sampling,
    Start,
    Text,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    Tool,
    ToolChoice,
    Usage,
)
from mlxk.contract.errors import (
    ContextLengthExceeded,
    InvalidValue,
    ModelNotFound,
    ProviderAuth,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    RequestTimeout,
)
from mlxk.providers.client import Patience, RemoteModel
from mlxk.providers.endpoints import ENDPOINTS, endpoint

THOUGHT = (Start("r1", "m"), ThinkingDelta("Hm."), TextDelta("4"), Finish("length", Usage(5, 2)))
HI = Request("m", (Message("user", (Text("Hi"),)),))
CHUNK = b'data: {"id":"r1","model":"m","choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Api:
    """Answers each request with the next of its replies: a status and a body."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.requests = []

    async def answer(self, request):
        self.requests.append((request.headers.copy(), await request.json()))
        status, body, *headers = self.replies.pop(0)
        kind = "text/event-stream" if body.startswith(b"data") else "application/json"
        given = headers[0] if headers else {}
        return web.Response(status=status, body=body, content_type=kind, headers=given)


@pytest.fixture
async def ask():
    """Put an Api on the network and a client before it; gives the folded answer."""
    runners, pauses = [], []

    async def pause(seconds):
        pauses.append(seconds)

    async def start(api, env=None, **patience):
        app = web.Application()
        app.router.add_post("/v1/chat/completions", api.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        place = endpoint("openai", f"http://127.0.0.1:{port}", env or {})
        async with RemoteModel(
            place, patience=Patience(**patience), pause=pause, jitter=lambda: 1.0
        ) as model:
            return await gather(model.stream(HI))

    start.pauses = pauses
    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.mark.parametrize("turn", [HELLO, CALL, THOUGHT], ids=["text", "call", "thought"])
@pytest.mark.parametrize("name", ENDPOINTS)
async def test_it_says_what_our_own_server_says(serve, name, turn):
    http = await serve(Scripted(turn))
    async with RemoteModel(endpoint(name, str(http._base_url), {})) as model:
        assert (await gather(model.stream(HI))).reply == fold(turn).reply


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_our_own_server_is_asked_for_what_was_meant(serve, name):
    far = Scripted()
    http = await serve(far)
    asked = Request(
        "m",
        (Message("system", (Text("Be brief."),)), *HI.messages),
        tools=(Tool("ls", "List.", {"type": "object"}),),
        tool_choice=ToolChoice("required"),
        max_tokens=7,
        sampling=Sampling(temperature=0.5),
    )
    async with RemoteModel(endpoint(name, str(http._base_url), {})) as model:
        await gather(model.stream(asked))
    assert far.requests == [asked]


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_refusals_are_understood_in_every_format(serve, name):
    long = ContextLengthExceeded("long", prompt_tokens=90, context_length=64)
    http = await serve(Scripted((long,)))
    async with RemoteModel(endpoint(name, str(http._base_url), {})) as model:
        with pytest.raises(ContextLengthExceeded):
            await gather(model.stream(HI))


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_a_key_is_sent_the_way_our_own_server_reads_it(serve, name):
    http = await serve(Scripted(), api_key="sesame")
    place = endpoint(name, str(http._base_url), {"MLXK_API_KEY": "sesame"})
    async with RemoteModel(place) as model:
        assert (await gather(model.stream(HI))).reply


async def test_an_api_that_does_not_stream_is_understood(ask):
    body = b'{"id":"r1","model":"m","choices":[{"message":{"role":"assistant","content":"Hi"}}]}'
    told = await ask(Api((200, body)))
    assert told.reply.message.text == "Hi"


async def test_the_key_goes_into_the_header_only(ask):
    api = Api((200, CHUNK + END))
    await ask(api, {"MLXK_API_KEY": "sesame"})
    headers, body = api.requests[0]
    assert headers["Authorization"] == "Bearer sesame"
    assert "sesame" not in str(body)
    assert "sesame" not in repr(endpoint("openai", None, {"OPENAI_API_KEY": "sesame"}))


@pytest.mark.parametrize(
    "first",
    [
        (429, b'{"error":{"message":"slow down"}}'),
        (500, b"oops"),
        (503, b'{"error":"busy"}'),
        (200, b'data: {"id":"r1","model":"m","choices":[]}\n\n'),
        (200, b'data: {"error":{"message":"overloaded"}}\n\n'),
        (200, b"data: {nonsense\n\n"),
        (200, CHUNK.replace(b'"Hello"', b'[{"type":"video"}]')),
    ],
    ids=["429", "500", "503", "cut", "error frame", "nonsense", "a part nobody knows"],
)
async def test_a_passing_failure_is_tried_again(ask, first):
    told = await ask(Api(first, (200, CHUNK + END)))
    assert told.reply.message.text == "Hello"


async def test_pauses_grow_and_a_server_may_name_one(ask):
    busy = (503, b"{}")
    await ask(Api(busy, busy, (429, b"{}", {"Retry-After": "7"}), (200, CHUNK + END)))
    assert ask.pauses == [0.5, 1.0, 7.0]


async def test_tries_are_counted(ask):
    api = Api(*[(500, b"{}")] * 9)
    with pytest.raises(ProviderError):
        await ask(api, tries=3)
    assert len(api.requests) == 3


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (302, b"moved", ProviderRefused),
        (400, b'{"error":{"message":"bad tool"}}', ProviderRefused),
        (
            400,
            b'{"error":{"code":"context_length_exceeded"}}',
            ContextLengthExceeded,
        ),
        (400, b'{"error":{"message":"prompt is too long: 9 tokens > 5"}}', ContextLengthExceeded),
        (401, b'{"error":{"message":"bad key sesame"}}', ProviderAuth),
        (403, b"", ProviderAuth),
        (404, b'{"error":{"message":"no such model"}}', ModelNotFound),
        (404, b"<html>", ProviderRefused),
        (429, b'{"error":{"message":"pay","code":"insufficient_quota"}}', ProviderRateLimited),
    ],
)
async def test_a_refusal_has_a_name_and_is_not_tried_again(ask, status, body, error):
    api = Api((status, body))
    with pytest.raises(error) as e:
        await ask(api, {"MLXK_API_KEY": "sesame"})
    assert "sesame" not in str(e.value)


class Flood(Api):
    """Refuses with 32 MiB of words; `sent` is how much of them was taken."""

    async def answer(self, request):
        self.sent = 0
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        for _ in range(512):
            await response.write(b"no! " * (16 << 10))
            self.sent += 64 << 10
        return response


async def test_a_refusal_without_end_is_not_read_to_its_end(ask):
    api = Flood()
    with pytest.raises(ProviderRefused, match="no! no!") as e:
        await ask(api)
    assert len(str(e.value)) < 3000
    assert api.sent < 16 << 20


async def test_an_answer_that_would_fill_the_memory_is_refused(ask):
    packed = gzip.compress(b" " * (65 << 20), 1)
    with pytest.raises(ProviderError, match="larger than 64 MiB"):
        await ask(Api((200, packed, {"Content-Encoding": "gzip"})))


async def test_a_stream_that_is_cut_after_words_is_an_error(ask):
    with pytest.raises(ProviderError, match="cut off"):
        await ask(Api((200, CHUNK)))


async def test_a_silent_api_is_a_time_out(serve):
    http = await serve(Scripted((30.0,)), patience_s=30)
    patience = Patience(tries=1, silence_s=0.1)
    async with RemoteModel(endpoint("openai", str(http._base_url), {}), patience=patience) as model:
        with pytest.raises(RequestTimeout):
            await gather(model.stream(HI))


async def test_nobody_at_home_is_a_provider_error():
    place = endpoint("openai", "http://127.0.0.1:9", {})
    async with RemoteModel(place, patience=Patience(tries=1)) as model:
        with pytest.raises(ProviderError, match="cannot be reached"):
            await gather(model.stream(HI))


async def test_closing_the_stream_hangs_up(serve):
    far = Scripted((Start("r", "m"), TextDelta("a"), 30.0, Finish("stop", Usage())))
    http = await serve(far)
    async with RemoteModel(endpoint("openai", str(http._base_url), {})) as model:
        events = model.stream(HI)
        await anext(events)
        await anext(events)
        await events.aclose()
        await asyncio.wait_for(far.closed.wait(), 2)


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("http://h:1", "http://h:1/v1/chat/completions"),
        ("http://h:1/", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1", "http://h:1/v1/chat/completions"),
        ("http://h:1/api/v3/", "http://h:1/api/v3/chat/completions"),
        ("http://h:1/v1/chat/completions", "http://h:1/v1/chat/completions"),
    ],
)
def test_a_url_may_be_given_in_the_forms_people_type(url, full):
    assert endpoint("openai", url, {}).url("m") == full


def test_a_key_of_our_own_goes_before_the_vendors():
    env = {"OPENAI_API_KEY": "theirs", "MLXK_API_KEY": "ours"}
    assert endpoint("openai", "http://h:1", env).key == "ours"


def test_without_its_key_a_vendor_is_not_asked():
    with pytest.raises(ProviderAuth, match="OPENAI_API_KEY"):
        endpoint("openai", None, {})


@pytest.mark.parametrize("url", ["ftp://h", "h:1", "http://", "http://[", "file:///etc"])
def test_what_is_no_http_url_is_refused(url):
    with pytest.raises(InvalidValue):
        endpoint("openai", url, {})


def test_an_unknown_api_is_refused():
    with pytest.raises(InvalidValue, match="nope"):
        endpoint("nope", None, {})


def test_a_key_of_an_api_is_not_sent_to_somebody_elses_url():
    place = endpoint("openai", "http://example.org/v1", {"OPENAI_API_KEY": "theirs"})
    assert place.headers() == {}


@pytest.mark.parametrize("name", ["openai", "codex", "gemini"])
async def test_log_probabilities_come_from_our_own_server(serve, name):
    measured = TextDelta("Hi", (TokenLogprob(b"Hi", -0.25, ((b"Hi", -0.25), (b"Ho", -2.0))),))
    model = Scripted((Start("r1", "m"), measured, Finish("stop", Usage(5, 1))))
    http = await serve(model)
    async with RemoteModel(endpoint(name, str(http._base_url), env={})) as remote:
        folded = await gather(remote.stream(replace(HI, top_logprobs=2)))
    assert model.requests[0].top_logprobs == 2
    assert folded.reply.logprobs == measured.logprobs
