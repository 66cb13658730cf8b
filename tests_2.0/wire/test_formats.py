"""Every format carries every conversation, both ways, in pieces of any size."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlxk.chat.fold import fold, unfold
from mlxk.chat.types import (
    Finish,
    Image,
    Message,
    Request,
    ResponseFormat,
    Sampling,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)
from mlxk.contract.errors import OverCapacity, ProviderError
from mlxk.wire import anthropic, gemini, openai_chat, openai_responses, sse
from mlxk.wire.frames import Asked

FORMATS = {
    "openai_chat": openai_chat.FORMAT,
    "anthropic": anthropic.FORMAT,
    "gemini": gemini.FORMAT,
    "openai_responses": openai_responses.FORMAT,
}
ALL_FORMATS = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
USAGE = Usage(9, 7, 4)
TURNS = {
    "one word": [Start("r1", "m"), TextDelta("Hello"), Finish("stop", USAGE)],
    "nothing said": [Start("r1", "m"), Finish("stop", USAGE)],
    "thinks, then speaks": [
        Start("r1", "m"),
        ThinkingDelta("Hm"),
        ThinkingDelta("m"),
        TextDelta("4"),
        Finish("length", USAGE),
    ],
    "two tool calls": [
        Start("r1", "m"),
        TextDelta("Let me look."),
        ToolUseStart("t1", "read"),
        ToolUseDelta('{"path":'),
        ToolUseDelta('"a"}'),
        ToolUseStart("t2", "ls"),
        ToolUseDelta("{}"),
        Finish("tool_use", USAGE),
    ],
    "every line end and script": [
        Start("r1", "m"),
        TextDelta("a\r\nb\nc\rd\u2028e \u0000 \ud83d"),
        TextDelta("data: [DONE]\n\n: no comment"),
        TextDelta("日本語 🎉"),
        Finish("stop", USAGE),
    ],
}
TOOLS = (
    Tool("read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}}),
    Tool("ls", "", {"type": "object"}),
)
REQUESTS = {
    "a word": Request("m", (Message("user", (Text("Hi"),)),), max_tokens=9),
    "system, image, limits": Request(
        "m",
        (
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("What is it?"), Image("image/png", "iVBORw0KGgo="))),
        ),
        max_tokens=5,
        stop=("END", "\n\n"),
        sampling=Sampling(temperature=0.5, top_p=0.9),
    ),
    "tools and their results": Request(
        "m",
        (
            Message("user", (Text("Look."),)),
            Message(
                "assistant",
                (
                    Text("I look."),
                    ToolUse("t1", "read", '{"path":"a"}'),
                    ToolUse("t2", "ls", "{}"),
                ),
            ),
            Message("tool", (ToolResult("t1", "text"), ToolResult("t2", "a b"))),
            Message("user", (Text("Go on."),)),
        ),
        max_tokens=9,
        tools=TOOLS,
        tool_choice=ToolChoice("named", "ls"),
    ),
    "a word without a thought": Request(
        "m", (Message("user", (Text("Hi"),)),), max_tokens=9, thinking=False
    ),
    "structured": Request(
        "m",
        (Message("user", (Text("JSON, please"),)),),
        max_tokens=9,
        response_format=ResponseFormat("json_schema", {"type": "object"}),
    ),
}


ASKED = Asked(REQUESTS["a word"])


def over_the_wire(fmt, events, chunk):
    encoder, decoder, parser = (
        fmt.encoder(ASKED, 7),
        fmt.decoder(),
        sse.Decoder(),
    )
    wire = b"".join(sse.encode(frame) for event in events for frame in encoder.feed(event))
    pieces = [wire[i : i + chunk] for i in range(0, len(wire), chunk)]
    told = [e for p in pieces for frame in parser.feed(p) for e in decoder.feed(frame)]
    return [*told, *decoder.end()]


@ALL_FORMATS
@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
@pytest.mark.parametrize("chunk", [1, 7, 10_000])
def test_a_streamed_answer_arrives_as_it_was_told(fmt, turn, chunk):
    assert fold(over_the_wire(fmt, turn, chunk)) == fold(turn)


@ALL_FORMATS
@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_a_whole_answer_arrives_as_it_was_told(fmt, turn):
    reply = fold(turn).reply
    assert fmt.decode_reply(fmt.encode_replies([reply], ASKED, 7)) == reply


@ALL_FORMATS
@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_a_stream_without_its_end_has_no_finish(fmt, turn):
    assert not any(isinstance(e, Finish) for e in over_the_wire(fmt, turn[:-1], 100))


def unnamed(request):
    """Without the names that only some formats carry."""
    messages = tuple(
        replace(message, parts=tuple(without_name(part) for part in message.parts))
        for message in request.messages
    )
    form = replace(request.response_format, name=None)
    return replace(request, messages=messages, response_format=form)


def without_name(part):
    return replace(part, name=None) if isinstance(part, ToolResult) else part


@ALL_FORMATS
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_request_arrives_as_it_was_meant(fmt, request_):
    read = fmt.decode_request(fmt.encode_request(request_, stream=True)).request
    assert unnamed(replace(read, model="m")) == request_


@pytest.mark.parametrize("fmt", [openai_chat.FORMAT, openai_responses.FORMAT])
def test_how_much_to_think_is_passed_on(fmt):
    request = replace(REQUESTS["a word"], thinking=True, effort="high")
    assert fmt.decode_request(fmt.encode_request(request, stream=True)).request == request


@pytest.mark.parametrize("fmt", [openai_chat.FORMAT, openai_responses.FORMAT, anthropic.FORMAT])
def test_a_request_says_whether_it_wants_a_stream(fmt):
    for stream in (True, False):
        body = fmt.encode_request(REQUESTS["a word"], stream=stream)
        assert fmt.decode_request(body).stream == stream


@ALL_FORMATS
def test_a_failure_in_mid_stream_is_told_in_the_stream(fmt):
    encoder, decoder = fmt.encoder(ASKED, 7), fmt.decoder()
    frames = [*encoder.feed(Start("r", "m")), *encoder.fail(OverCapacity("the house is full"))]
    with pytest.raises(ProviderError, match="full"):
        [decoder.feed(frame) for frame in frames]


words = st.text(min_size=1, max_size=20)
arguments = st.dictionaries(words, words).map(lambda value: orjson.dumps(value).decode())
bodies = st.lists(
    st.one_of(
        words.map(lambda text: [TextDelta(text)]),
        words.map(lambda text: [ThinkingDelta(text)]),
        st.tuples(words, arguments).map(lambda t: [ToolUseStart("t", t[0]), ToolUseDelta(t[1])]),
    ),
    max_size=6,
)
ORDER = (ThinkingDelta, TextDelta, ToolUseStart)


@ALL_FORMATS
@settings(max_examples=60, deadline=None)
@given(body=bodies, chunk=st.integers(1, 40))
def test_any_streamed_answer_round_trips(fmt, body, chunk):
    called = any(isinstance(part[0], ToolUseStart) for part in body)
    end = Finish("tool_use" if called else "stop", USAGE)
    turn = [Start("r", "m"), *(event for part in body for event in part), end]
    assert fold(over_the_wire(fmt, turn, chunk)) == fold(turn)


@ALL_FORMATS
@settings(max_examples=60, deadline=None)
@given(body=bodies)
def test_any_whole_answer_round_trips(fmt, body):
    body.sort(key=lambda part: ORDER.index(type(part[0])))
    called = any(isinstance(part[0], ToolUseStart) for part in body)
    end = Finish("tool_use" if called else "length", USAGE)
    reply = fold([Start("r", "m"), *(event for part in body for event in part), end]).reply
    told = fmt.decode_reply(fmt.encode_replies([reply], ASKED, 7))
    assert told == reply
    assert fold(unfold(told)).reply == reply


texts = words.map(lambda text: (Text(text),))
histories = st.lists(
    st.one_of(
        texts.map(lambda parts: Message("user", parts)),
        texts.map(lambda parts: Message("system", parts)),
        st.tuples(words, words).map(
            lambda t: Message("assistant", (Thinking(t[0]), Text(t[1]), ToolUse("c", "ls", "{}")))
        ),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(messages=histories)
def test_any_history_round_trips_through_openai_chat(messages):
    request = Request("m", tuple(messages))
    body = openai_chat.encode_request(request, stream=False)
    assert openai_chat.decode_request(body).request == request
