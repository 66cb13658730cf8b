"""Log-probabilities in every format that has a place for them, both ways."""

import pytest

from mlxk.chat.fold import fold
from mlxk.chat.types import (
    Finish,
    Message,
    Request,
    Start,
    Text,
    TextDelta,
    TokenLogprob,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)
from mlxk.contract.errors import InvalidDocument, InvalidValue
from mlxk.wire import anthropic, gemini, openai_chat, openai_completions, openai_responses, sse
from mlxk.wire.frames import Asked

FORMATS = {
    "chat": openai_chat.FORMAT,
    "completions": openai_completions.FORMAT,
    "responses": openai_responses.FORMAT,
    "gemini": gemini.FORMAT,
}
ALL = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
PARTY = TextDelta(
    "Hi 🎉",
    (
        TokenLogprob(b"Hi", -0.25, ((b"Hi", -0.25), (b"Ho", -2.5))),
        TokenLogprob(b" \xf0\x9f", -0.5, ((b" \xf0\x9f", -0.5), (b"!", -1.5))),
        TokenLogprob(b"\x8e\x89", 0.0, ((b"\x8e\x89", 0.0), (b"\x80", -9.0))),
    ),
)
TURNS = {
    "text": [Start("r", "m"), PARTY, PARTY, Finish("stop", Usage(5, 6))],
    "text, then a call": [
        Start("r", "m"),
        PARTY,
        ToolUseStart("t", "ls"),
        ToolUseDelta("{}"),
        Finish("tool_use", Usage(5, 9)),
    ],
}
ASKED = Asked(Request("m", (Message("user", (Text("Hi"),)),), top_logprobs=2))


def turns(fmt):
    return [TURNS["text"]] if fmt is openai_completions.FORMAT else TURNS.values()


@ALL
def test_a_stream_carries_them(fmt):
    for turn in turns(fmt):
        encoder, decoder, parser = fmt.encoder(ASKED, 7), fmt.decoder(), sse.Decoder()
        wire = b"".join(sse.encode(frame) for event in turn for frame in encoder.feed(event))
        told = [event for frame in parser.feed(wire) for event in decoder.feed(frame)]
        assert fold([*told, *decoder.end()]) == fold(turn)


@ALL
def test_a_whole_answer_carries_them(fmt):
    for turn in turns(fmt):
        reply = fold(turn).reply
        assert len(reply.logprobs) in (3, 6)
        assert fmt.decode_reply(fmt.encode_replies([reply], ASKED, 7)) == reply


@ALL
@pytest.mark.parametrize("number", [None, 0, 5])
def test_a_request_asks_for_them(fmt, number):
    request = Request("m", (Message("user", (Text("Hi"),)),), max_tokens=9, top_logprobs=number)
    body = fmt.encode_request(request, stream=True)
    assert fmt.decode_request(body).request.top_logprobs == number


CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
GEMINI = {"contents": [{"parts": [{"text": "Hi"}]}]}


@pytest.mark.parametrize(
    ("fmt", "body"),
    [
        ("chat", CHAT | {"top_logprobs": 3}),
        ("chat", CHAT | {"logprobs": True, "top_logprobs": 21}),
        ("completions", {"prompt": "Hi", "logprobs": 21}),
        ("completions", {"prompt": "Hi", "logprobs": True}),
        ("responses", {"input": "Hi", "top_logprobs": -1}),
        ("gemini", GEMINI | {"generationConfig": {"responseLogprobs": True, "logprobs": 21}}),
    ],
)
def test_numbers_that_are_none_are_refused(fmt, body):
    with pytest.raises((InvalidValue, InvalidDocument)):
        FORMATS[fmt].decode_request(body)


def test_an_answer_without_them_says_null():
    reply = fold([Start("r", "m"), TextDelta("Hi"), Finish("stop", Usage(5, 1))]).reply
    for fmt in ("chat", "completions"):
        (choice,) = FORMATS[fmt].encode_replies([reply], ASKED, 7)["choices"]
        assert choice["logprobs"] is None


def test_a_documented_chat_chunk_is_read():
    """Without bytes, as OpenAI says they may be null."""
    entry = {"token": "Hello", "logprob": -0.31725305, "bytes": None, "top_logprobs": []}
    choice = {"index": 0, "delta": {"content": "Hello"}, "logprobs": {"content": [entry]}}
    decoder = openai_chat.Decoder()
    frame = sse.Frame({"id": "c", "model": "g", "choices": [choice]})
    _, delta = decoder.feed(frame)
    assert delta == TextDelta("Hello", (TokenLogprob(b"Hello", -0.31725305),))


def test_offsets_count_characters_over_the_pieces_of_a_stream():
    encoder = openai_completions.Encoder(ASKED, 7)
    frames = [frame for event in TURNS["text"] for frame in encoder.feed(event)]
    columns = [f.data["choices"][0]["logprobs"] for f in frames if f.data and f.data["choices"]]
    assert [c["text_offset"] for c in columns if c] == [[0, 2, 3], [4, 6, 7]]


def test_an_api_that_has_none_is_not_asked_for_them():
    with pytest.raises(InvalidValue, match="no log-probabilities"):
        anthropic.encode_request(ASKED.request, stream=True)
