"""Messages as Anthropic documents them, and as Claude Code sends them."""

import pytest

from mlxk.chat.types import (
    Finish,
    Image,
    Message,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolChoice,
    ToolResult,
    ToolUse,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)
from mlxk.contract.errors import ContextLengthExceeded, InvalidValue, OverCapacity, ProviderError
from mlxk.wire import anthropic, sse
from mlxk.wire.anthropic_answers import encode_error
from mlxk.wire.frames import Asked

TOOL_USE = b"""\
event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",\
"content":[],"model":"claude-x","stop_reason":null,"stop_sequence":null,\
"usage":{"input_tokens":400,"cache_creation_input_tokens":20,"cache_read_input_tokens":52,\
"output_tokens":2}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"",\
"signature":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQ"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Okay"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1",\
"name":"get_weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta",\
"partial_json":"{\\"location\\": \\"Rome\\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},\
"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"""
OVERLOADED = b"""\
event: error
data: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

"""


def told(stream):
    decoder = anthropic.FORMAT.decoder()
    return [event for frame in sse.Decoder().feed(stream) for event in decoder.feed(frame)]


def test_a_stream_as_documented():
    assert told(TOOL_USE) == [
        Start("1", "claude-x"),
        ThinkingDelta("Hm."),
        ThinkingDelta("", "EqQ"),
        TextDelta("Okay"),
        ToolUseStart("toolu_1", "get_weather"),
        ToolUseDelta('{"location": "Rome"}'),
        Finish("tool_use", Usage(472, 89, 52)),
    ]


def test_an_error_in_the_stream_is_an_error():
    with pytest.raises(ProviderError, match="Overloaded"):
        told(OVERLOADED)


def test_a_stream_goes_out_with_the_events_that_clients_insist_on():
    encoder = anthropic.FORMAT.encoder(Asked(decoded("hi")), 7)
    turn = [Start("r", "m"), ThinkingDelta("Hm."), TextDelta("4"), Finish("stop", Usage(5, 2, 3))]
    frames = [frame for event in turn for frame in encoder.feed(event)]
    assert [frame.event for frame in frames] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert all(frame.event == frame.data["type"] for frame in frames)
    assert frames[3].data["delta"]["type"] == "signature_delta"
    assert frames[3].data["delta"]["signature"]
    assert frames[8].data["usage"]["input_tokens"] == 2
    assert frames[8].data["usage"]["cache_read_input_tokens"] == 3


def decoded(*turns, **more):
    messages = [{"role": "user", "content": t} if not isinstance(t, dict) else t for t in turns]
    return anthropic.decode_request({"model": "m", "messages": messages, **more}).request


def block(**content):
    return {"role": "user", "content": [content]}


TURNS = {
    "string and blocks alike": (block(type="text", text="hi"), decoded("hi").messages),
    "cache control is no content": (
        block(type="text", text="hi", cache_control={"type": "ephemeral"}),
        decoded("hi").messages,
    ),
    "system in the middle": (
        {"role": "system", "content": "Be brief."},
        (Message("system", (Text("Be brief."),)),),
    ),
    "image": (
        block(type="image", source={"type": "base64", "media_type": "image/png", "data": "aGk="}),
        (Message("user", (Image("image/png", "aGk="),)),),
    ),
    "tool result in blocks": (
        block(
            type="tool_result",
            tool_use_id="t",
            is_error=True,
            content=[{"type": "text", "text": "a"}, {"type": "image", "source": {}}],
        ),
        (
            Message(
                "tool",
                (ToolResult("t", "a\n[image that this model cannot read]", is_error=True),),
            ),
        ),
    ),
    "thoughts": (
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "EqQ"},
                {"type": "redacted_thinking", "data": "xyz"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ],
        },
        (Message("assistant", (Thinking("Hm.", "EqQ"), ToolUse("t", "f", '{"a":1}'))),),
    ),
}


@pytest.mark.parametrize(("turn", "meant"), TURNS.values(), ids=TURNS)
def test_a_turn_is_read(turn, meant):
    assert decoded(turn).messages == meant


def test_results_and_words_of_one_turn_are_two_messages():
    result = {"type": "tool_result", "tool_use_id": "t", "content": "ok"}
    turn = {"role": "user", "content": [result, {"type": "text", "text": "go on"}]}
    assert [message.role for message in decoded(turn).messages] == ["tool", "user"]


BILLING = "x-anthropic-billing-header: cc_version=1; cch=77;"


@pytest.mark.parametrize(
    "system",
    [
        [
            {"type": "text", "text": BILLING},
            {"type": "text", "text": "You are brief.", "cache_control": {"type": "ephemeral"}},
        ],
        f"{BILLING}\nYou are brief.",
    ],
    ids=["a block", "a line"],
)
def test_the_billing_line_of_the_client_is_left_out(system):
    assert decoded("hi", system=system).messages[0] == Message("system", (Text("You are brief."),))


def test_deferred_tools_wait_until_they_are_referenced():
    tools = [
        {"name": "Bash", "input_schema": {}},
        {"name": "WebFetch", "input_schema": {}, "defer_loading": True},
        {"name": "web_search", "type": "web_search_20250305"},
    ]
    found = {
        "type": "tool_result",
        "tool_use_id": "t",
        "content": [{"type": "tool_reference", "tool_name": "WebFetch"}],
    }
    assert [tool.name for tool in decoded("hi", tools=tools).tools] == ["Bash"]
    after = decoded("hi", {"role": "user", "content": [found]}, tools=tools)
    assert [tool.name for tool in after.tools] == ["Bash", "WebFetch"]


@pytest.mark.parametrize(
    ("wire", "meant"),
    [
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "tool", "name": "f"}, ToolChoice("named", "f")),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice()),
        ({"type": "none"}, ToolChoice("none")),
    ],
)
def test_a_tool_choice_is_read(wire, meant):
    assert decoded("hi", tool_choice=wire).tool_choice == meant


def test_servers_of_tools_are_refused():
    assert decoded("hi", mcp_servers=[])
    with pytest.raises(InvalidValue, match="mcp_servers"):
        decoded("hi", mcp_servers=[{"type": "url", "url": "https://x", "name": "x"}])


def test_a_call_whose_arguments_are_no_json_goes_out_as_an_object():
    encoder = anthropic.FORMAT.encoder(Asked(decoded("hi")), 7)
    turn = [Start("r", "m"), ToolUseStart("t", "f"), ToolUseDelta('{"a": '), ToolUseDelta("oops")]
    events = [*turn, Finish("tool_use", Usage())]
    deltas = [f.data.get("delta", {}) for event in events for f in encoder.feed(event)]
    pieces = [delta["partial_json"] for delta in deltas if "partial_json" in delta]
    assert pieces == ['{"arguments":"{\\"a\\": oops"}']


def test_errors_have_the_words_and_types_that_clients_look_for():
    long = ContextLengthExceeded("long", prompt_tokens=90, context_length=64)
    assert encode_error(long, 400)["error"] == {
        "type": "invalid_request_error",
        "message": "prompt is too long: 90 tokens > 64 maximum",
    }
    assert encode_error(OverCapacity("full"), 503)["error"]["type"] == "overloaded_error"
