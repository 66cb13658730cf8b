"""Responses as OpenAI documents them, and as Codex sends them."""

import pytest

from mlxk.chat.fold import fold
from mlxk.chat.types import (
    Finish,
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
from mlxk.contract.errors import InvalidDocument, InvalidValue, OverCapacity, ProviderError
from mlxk.contract.notes import collecting
from mlxk.wire import openai_responses, sse

STREAM = b"""\
event: response.created
data: {"type":"response.created","response":{"id":"resp_1","object":"response","status":\
"in_progress","model":"gpt-x","output":[]}}

event: response.in_progress
data: {"type":"response.in_progress","response":{"id":"resp_1"}}

event: response.output_item.added
data: {"type":"response.output_item.added","output_index":0,"item":{"id":"rs_1","type":\
"reasoning","summary":[]}}

event: response.reasoning_summary_text.delta
data: {"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,\
"summary_index":0,"delta":"Hm."}

event: response.output_item.done
data: {"type":"response.output_item.done","output_index":0,"item":{"id":"rs_1","type":"reasoning",\
"summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"gAA"}}

event: response.output_item.added
data: {"type":"response.output_item.added","output_index":1,"item":{"id":"msg_1","type":"message",\
"status":"in_progress","role":"assistant","content":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"msg_1","output_index":1,"content_index":0,\
"delta":"Hi"}

event: response.output_item.done
data: {"type":"response.output_item.done","output_index":1,"item":{"id":"msg_1","type":"message",\
"status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi"}]}}

event: response.output_item.added
data: {"type":"response.output_item.added","output_index":2,"item":{"type":"function_call",\
"id":"fc_1","call_id":"call_1","name":"get_weather","arguments":""}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":2,\
"delta":"{}"}

event: response.output_item.done
data: {"type":"response.output_item.done","output_index":2,"item":{"type":"function_call",\
"id":"fc_1","call_id":"call_1","name":"get_weather","arguments":"{}"}}

event: response.completed
data: {"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[],\
"usage":{"input_tokens":37,"input_tokens_details":{"cached_tokens":30},"output_tokens":11,\
"output_tokens_details":{"reasoning_tokens":3},"total_tokens":48}}}

"""
ONLY_DONE = b"""\
data: {"type":"response.created","response":{"id":"r","model":"m"}}

data: {"type":"response.output_item.done","output_index":0,"item":{"type":"message","role":\
"assistant","content":[{"type":"output_text","text":"Hi"}]}}

data: {"type":"response.output_item.done","output_index":1,"item":{"type":"custom_tool_call",\
"call_id":"c","name":"apply_patch","input":"*** Begin"}}

data: {"type":"response.output_item.done","output_index":2,"item":{"type":"function_call",\
"call_id":"d","name":"ls","arguments":"{}"}}

data: {"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":\
{"reason":"max_output_tokens"}}}

"""


def told(stream):
    decoder = openai_responses.FORMAT.decoder()
    return [event for frame in sse.Decoder().feed(stream) for event in decoder.feed(frame)]


def test_a_stream_as_documented():
    assert told(STREAM) == [
        Start("1", "gpt-x"),
        ThinkingDelta("Hm."),
        ThinkingDelta("", "gAA"),
        TextDelta("Hi"),
        ToolUseStart("call_1", "get_weather"),
        ToolUseDelta("{}"),
        Finish("tool_use", Usage(37, 11, 30, reasoning_tokens=3)),
    ]


def test_items_that_come_only_whole():
    assert told(ONLY_DONE) == [
        Start("r", "m"),
        TextDelta("Hi"),
        ToolUseStart("c", "apply_patch"),
        ToolUseDelta('{"input":"*** Begin"}'),
        ToolUseStart("d", "ls"),
        ToolUseDelta("{}"),
        Finish("length", Usage()),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b'{"type":"error","code":"server_error","message":"broken"}',
        b'{"type":"response.failed","response":{"status":"failed","error":{"message":"broken"}}}',
    ],
)
def test_a_failure_is_an_error(data):
    with pytest.raises(ProviderError, match="broken"):
        told(b"data: " + data + b"\n\n")


def decoded(*items, **more):
    given = {"model": "m", "input": list(items), **more}
    return openai_responses.decode_request(given)


ITEMS = {
    "developer": (
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "x"}]},
        Message("system", (Text("x"),)),
    ),
    "no type": ({"role": "user", "content": "x"}, Message("user", (Text("x"),))),
    "reasoning": (
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]},
        Message("assistant", (Thinking("Hm"),)),
    ),
    "custom call": (
        {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "x"},
        Message("assistant", (ToolUse("c", "apply_patch", '{"input":"x"}'),)),
    ),
    "call in a namespace": (
        {
            "type": "function_call",
            "call_id": "c",
            "name": "spawn",
            "namespace": "agents",
            "arguments": "{}",
        },
        Message("assistant", (ToolUse("c", "agents__spawn", "{}"),)),
    ),
    "result": (
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": "ok"}],
        },
        Message("tool", (ToolResult("c", "ok"),)),
    ),
}


@pytest.mark.parametrize(("item", "meant"), ITEMS.values(), ids=ITEMS)
def test_an_item_is_read(item, meant):
    assert decoded(item).request.messages == (meant,)


def test_neighbouring_items_of_the_assistant_are_one_message():
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]}
    messages = decoded(said, call, {"role": "user", "content": "ok"}).request.messages
    assert [message.role for message in messages] == ["assistant", "user"]


def test_tools_of_every_kind_are_offered_as_functions():
    asked = decoded(
        {"role": "user", "content": "x"},
        tools=[
            {"type": "function", "name": "f", "parameters": {"type": "object"}},
            {"type": "custom", "name": "patch", "format": {"type": "grammar"}},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]},
            {"type": "web_search"},
            {"type": "tool_search", "execution": "client"},
        ],
        tool_choice={"type": "function", "name": "f"},
    )
    assert [tool.name for tool in asked.request.tools] == ["f", "patch", "n__g"]
    assert asked.kinds["patch"].custom
    assert (asked.kinds["n__g"].name, asked.kinds["n__g"].namespace) == ("g", "n")
    assert asked.request.tool_choice == ToolChoice("named", "f")


USER = {"role": "user", "content": "x"}
TOOLS = [{"type": "function", "name": name} for name in "abc"]


def test_a_choice_among_some_of_the_tools_offers_no_other():
    choice = {"type": "allowed_tools", "mode": "required", "tools": [TOOLS[0], TOOLS[2]]}
    request = decoded(USER, tools=TOOLS, tool_choice=choice).request
    assert [tool.name for tool in request.tools] == ["a", "c"]
    assert request.tool_choice == ToolChoice("required")


@pytest.mark.parametrize("choice", ["any", {"type": "web_search"}, {"type": "function"}])
def test_a_choice_that_is_not_understood_is_refused(choice):
    with pytest.raises(InvalidDocument, match="tool_choice"):
        decoded(USER, tools=TOOLS, tool_choice=choice)


def test_a_tool_of_a_namespace_may_be_chosen():
    tools = [{"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]}]
    choice = {"type": "function", "name": "g", "namespace": "n"}
    assert decoded(USER, tools=tools, tool_choice=choice).request.tool_choice.name == "n__g"


def test_an_item_that_means_nothing_here_leaves_a_note():
    with collecting() as notes:
        assert len(decoded(USER, {"type": "web_search_call", "id": "w"}).request.messages) == 1
    assert [note.pointer for note in notes] == ["/input/1"]


def test_an_answer_repeats_how_it_was_asked_for():
    told = {
        "instructions": "Be brief.",
        "metadata": {"run": "7"},
        "tools": TOOLS,
        "tool_choice": "required",
        "reasoning": {"effort": "low"},
    }
    asked = decoded(USER, **told, text={"verbosity": "low"})
    answer = fold([Start("r", "m"), TextDelta("4"), Finish("stop", Usage())]).reply
    whole = openai_responses.FORMAT.encode_replies([answer], asked, 7)
    (created, _) = openai_responses.FORMAT.encoder(asked, 7).feed(Start("r", "m"))
    for body in (whole, created.data["response"]):
        assert {name: body[name] for name in told} == told | {
            "reasoning": {"effort": "low", "summary": None}
        }
        assert body["text"] == {"format": {"type": "text"}, "verbosity": "low"}


def test_a_format_without_its_schema_is_refused_where_it_is():
    with pytest.raises(InvalidValue, match="/text/format/schema"):
        decoded(USER, text={"format": {"type": "json_schema", "name": "x"}})


def test_a_schema_lies_beside_its_type():
    schema = {"type": "object"}
    form = {"type": "json_schema", "name": "out", "strict": True, "schema": schema}
    asked = decoded({"role": "user", "content": "x"}, text={"format": form})
    assert asked.request.response_format.schema == schema


@pytest.mark.parametrize("given", [{}, {"input": None}])
def test_nothing_to_answer_is_refused(given):
    with pytest.raises(InvalidValue):
        openai_responses.decode_request(given)


def test_heartbeats_are_events_once_the_answer_has_begun():
    encoder = openai_responses.FORMAT.encoder(decoded({"role": "user", "content": "x"}), 7)
    assert encoder.heartbeat.comment
    encoder.feed(Start("r", "m"))
    assert encoder.heartbeat.data["type"] == "response.in_progress"


def test_a_failure_before_the_answer_began_is_an_error_event():
    encoder = openai_responses.FORMAT.encoder(decoded({"role": "user", "content": "x"}), 7)
    (frame,) = encoder.fail(OverCapacity("full"))
    assert (frame.event, frame.data["message"]) == ("error", "full")
