"""Chat completions as OpenAI documents them, and as its imitators vary them."""

import pytest

from mlxk.chat.fold import fold
from mlxk.chat.types import (
    Finish,
    Image,
    Message,
    Predicted,
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
from mlxk.contract.errors import (
    ContextLengthExceeded,
    InvalidDocument,
    InvalidValue,
    ProviderError,
)
from mlxk.wire import openai_chat, sse
from mlxk.wire.openai import decode_usage, encode_error, encode_usage

TEXT = b"""\
data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-x",\
"service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":\
{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-x",\
"choices":[{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-x",\
"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-x","choices":[],\
"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":\
{"cached_tokens":12,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}

data: [DONE]

"""
CALLS = b"""\
data: {"id":"c","model":"g","choices":[{"index":0,"delta":{"role":"assistant","content":null,\
"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"get_weather",\
"arguments":""}}]},"finish_reason":null}]}

data: {"id":"c","model":"g","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":\
{"arguments":"{\\"city\\":"}}]},"finish_reason":null}]}

data: {"id":"c","model":"g","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":\
{"arguments":"\\"Rome\\"}"}}]},"finish_reason":null}]}

data: {"id":"c","model":"g","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b",\
"type":"function","function":{"name":"now","arguments":"{}"}}]},"finish_reason":null}]}

data: {"id":"c","model":"g","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: [DONE]

"""
WHOLE_CALLS_WITHOUT_INDEX = b"""\
data: {"id":"c","model":"g","choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f",\
"arguments":{"x":1}}},{"id":"b","function":{"name":"g","arguments":""}}]}}]}

data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,\
"completion_tokens":4,"prompt_cache_hit_tokens":2}}

"""
REASONING = b"""\
data: {"id":"c","model":"g","choices":[{"index":0,"delta":{"reasoning_content":"Hm"}}]}

data: {"id":"c","model":"g","choices":[{"index":0,"delta":{"reasoning":"m"}}]}

data: {"id":"c","model":"g","choices":[{"index":0,"delta":{"content":"4"},"finish_reason":"stop"}]}

data: [DONE]

"""


def told(stream):
    decoder = openai_chat.Decoder()
    events = [e for frame in sse.Decoder().feed(stream) for e in decoder.feed(frame)]
    return [*events, *decoder.end()]


def test_text_as_documented():
    assert told(TEXT) == [
        Start("1", "gpt-x"),
        TextDelta("Hello"),
        Finish("stop", Usage(19, 10, 12)),
    ]


def test_tool_calls_as_documented():
    assert told(CALLS) == [
        Start("c", "g"),
        ToolUseStart("call_a", "get_weather"),
        ToolUseDelta('{"city":'),
        ToolUseDelta('"Rome"}'),
        ToolUseStart("call_b", "now"),
        ToolUseDelta("{}"),
        Finish("tool_use", Usage()),
    ]


def test_whole_tool_calls_without_an_index():
    assert fold(told(WHOLE_CALLS_WITHOUT_INDEX)).message.tool_uses == (
        ToolUse("a", "f", '{"x":1}'),
        ToolUse("b", "g", ""),
    )
    assert told(WHOLE_CALLS_WITHOUT_INDEX)[-1] == Finish("tool_use", Usage(3, 4, 2))


def test_reasoning_under_either_name():
    assert told(REASONING)[1:-1] == [ThinkingDelta("Hm"), ThinkingDelta("m"), TextDelta("4")]


def test_calls_that_all_have_the_same_index_are_told_apart_by_their_ids():
    same = CALLS.replace(b'"index":1', b'"index":0')
    assert told(same) == told(CALLS)


def test_an_id_that_is_repeated_with_every_piece_opens_no_other_call():
    again = CALLS.replace(b'"index":0,"function"', b'"id":"call_a","function"')
    assert told(again) == told(CALLS)


def test_a_chunk_before_the_answer_begins_does_not_name_it():
    before = b'data: {"id":"","model":"","choices":[],"prompt_filter_results":[]}\n\n'
    assert told(before + TEXT) == told(TEXT)


def test_thoughts_among_the_parts_of_a_text():
    parts = (
        b'[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]},{"type":"text","text":"4"}]'
    )
    stream = TEXT.replace(b'{"content":"Hello"}', b'{"content":' + parts + b"}")
    assert told(stream)[1:-1] == [ThinkingDelta("Hm"), TextDelta("4")]


def test_calls_whose_pieces_come_mixed_are_an_error():
    mixed = CALLS.replace(
        b'"index":0,"function":{"arguments":"\\"Rome',
        b'"index":-1,"function":{"arguments":"\\"Rome',
    )
    with pytest.raises(ProviderError, match="mixed"):
        told(mixed)


def test_a_whole_answer_as_documented():
    reply = openai_chat.decode_reply(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": "gpt-x",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": None,
                        "refusal": None,
                        "annotations": [],
                        "tool_calls": [
                            {
                                "id": "call_a",
                                "type": "function",
                                "function": {"name": "f", "arguments": '{"a":1}'},
                            }
                        ],
                    },
                    "finish_reason": "tool_calls",
                }
            ],
            "usage": {"prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99},
        }
    )
    assert reply.message.tool_uses == (ToolUse("call_a", "f", '{"a":1}'),)
    assert (reply.reason, reply.usage) == ("tool_use", Usage(82, 17))


def decoded(*messages, **more):
    return openai_chat.decode_request({"model": "m", "messages": list(messages), **more}).request


MESSAGES = {
    "developer": ({"role": "developer", "content": "x"}, Message("system", (Text("x"),))),
    "parts": (
        {"role": "user", "content": [{"type": "text", "text": "a"}, "b"]},
        Message("user", (Text("a"), Text("b"))),
    ),
    "data URL": (
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}],
        },
        Message("user", (Image("image/png", "aGk="),)),
    ),
    "image elsewhere": (
        {"role": "user", "content": [{"type": "image_url", "image_url": "https://h/i.png"}]},
        Message("user", (Image(url="https://h/i.png"),)),
    ),
    "reasoning echoed": (
        {"role": "assistant", "content": "4", "reasoning_content": "Hm"},
        Message("assistant", (Thinking("Hm"), Text("4"))),
    ),
    "arguments as an object": (
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
        Message("assistant", (ToolUse("call_0", "f", '{"a":1}'),)),
    ),
    "tool result with a picture": (
        {
            "role": "tool",
            "tool_call_id": "t",
            "content": [
                {"type": "text", "text": "see "},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            ],
        },
        Message("tool", (ToolResult("t", "see [image that this model cannot read]"),)),
    ),
    "tool result in parts": (
        {"role": "tool", "tool_call_id": "t", "content": [{"type": "text", "text": "ok"}]},
        Message("tool", (ToolResult("t", "ok"),)),
    ),
}


@pytest.mark.parametrize(("wire", "meant"), MESSAGES.values(), ids=MESSAGES)
def test_a_message_is_read(wire, meant):
    assert decoded(wire).messages == (meant,)


def test_tool_results_are_put_in_the_order_of_their_calls():
    calls = [{"id": id, "function": {"name": "f"}} for id in ("a", "b", "c")]
    results = [{"role": "tool", "tool_call_id": id, "content": id} for id in ("b", "c", "a")]
    request = decoded({"role": "assistant", "tool_calls": calls}, *results)
    assert [part.text for part in request.messages[1].parts] == ["a", "b", "c"]


PREDICTION = {"type": "content", "content": "ab"}
PARAMETERS = {
    "stop alone": ({"stop": "END"}, "stop", ("END",)),
    "stop empty": ({"stop": ["", "a"]}, "stop", ("a",)),
    "the newer limit wins": ({"max_tokens": 5, "max_completion_tokens": 7}, "max_tokens", 7),
    "named tool": (
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        "tool_choice",
        ToolChoice("named", "f"),
    ),
    "how to think": ({"reasoning_effort": "high"}, "effort", "high"),
    "the template's own": (
        {"chat_template_kwargs": {"persona": "x"}},
        "template_options",
        {"persona": "x"},
    ),
    "no thinking": ({"reasoning_effort": "none"}, "thinking", False),
    "template switch": ({"chat_template_kwargs": {"enable_thinking": False}}, "thinking", False),
    "prediction": ({"prediction": PREDICTION}, "prediction", "ab"),
    "prediction in parts": (
        {"prediction": {"type": "content", "content": [{"text": "a"}, {"text": "b"}]}},
        "prediction",
        "ab",
    ),
    "null is absent": ({"max_tokens": None, "stop": None, "tools": None}, "max_tokens", None),
}


@pytest.mark.parametrize(("given", "name", "meant"), PARAMETERS.values(), ids=PARAMETERS)
def test_a_parameter_is_read(given, name, meant):
    assert getattr(decoded({"role": "user", "content": "x"}, **given), name) == meant


def test_what_held_of_a_prediction_is_told_and_read():
    usages = [Usage(9, 7, 4, Predicted(3, 1)), Usage(9, 5, 4, Predicted(0, 2))]
    wire = encode_usage(usages)
    details = wire["completion_tokens_details"]
    assert details["accepted_prediction_tokens"] == details["rejected_prediction_tokens"] == 3
    assert decode_usage(wire) == Usage(9, 12, 4, Predicted(3, 3))
    plain = encode_usage([Usage(9, 7, reasoning_tokens=2)])
    assert plain["completion_tokens_details"] == {"reasoning_tokens": 2}


def test_a_prediction_is_passed_on():
    request = decoded({"role": "user", "content": "x"}, prediction=PREDICTION)
    assert openai_chat.encode_request(request, stream=False)["prediction"] == PREDICTION


def function(name):
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize(("mode", "meant"), [("auto", "auto"), ("required", "required")])
def test_a_choice_among_some_of_the_tools_offers_no_other(mode, meant):
    choice = {"mode": mode, "tools": [function("b"), function("c")]}
    request = decoded(
        {"role": "user", "content": "x"},
        tools=[function(name) for name in "abc"],
        tool_choice={"type": "allowed_tools", "allowed_tools": choice},
    )
    assert [tool.name for tool in request.tools] == ["b", "c"]
    assert request.tool_choice == ToolChoice(meant)


@pytest.mark.parametrize("parameters", [{"properties": 3}, {"required": 5}, {"required": [1]}])
def test_parameters_that_are_no_schema_are_refused_where_they_are(parameters):
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    with pytest.raises(InvalidDocument, match="/tools/0/function/parameters"):
        decoded({"role": "user", "content": "x"}, tools=[tool])


def test_an_answer_in_sound_is_refused():
    assert decoded({"role": "user", "content": "x"}, modalities=["text"])
    with pytest.raises(InvalidValue, match="modalities"):
        decoded({"role": "user", "content": "x"}, modalities=["text", "audio"])


def test_an_overflow_is_told_in_openais_words():
    error = ContextLengthExceeded("too long", prompt_tokens=90, context_length=64)
    body = encode_error(error, 400)["error"]
    assert body["code"] == "context_length_exceeded"
    assert body["message"].startswith("This model's maximum context length is 64 tokens.")


def test_a_pointer_becomes_a_parameter():
    error = InvalidValue("no", pointer="/messages/3/content")
    assert encode_error(error, 400)["error"]["param"] == "messages.3.content"


def test_an_answer_of_a_fixed_length_is_asked_for_by_its_usual_name():
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "ignore_eos": True}
    request = openai_chat.decode_request(body).request
    assert request.ignore_eos
    assert openai_chat.encode_request(request, stream=False)["ignore_eos"] is True
