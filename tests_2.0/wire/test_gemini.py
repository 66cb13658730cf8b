"""generateContent as Google documents it, and as Gemini CLI sends it."""

import pytest

from mlxk.chat.fold import fold
from mlxk.chat.types import (
    Finish,
    Message,
    Request,
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
from mlxk.contract.errors import ContextLengthExceeded, InvalidValue, ProviderError
from mlxk.contract.notes import collecting
from mlxk.wire import gemini, sse
from mlxk.wire.frames import Asked
from mlxk.wire.gemini_answers import encode_error

STREAM = b"""\
data: {"candidates": [{"content": {"parts": [{"text": "Hm.","thought": true}],"role": "model"},\
"index": 0}],"usageMetadata": {"promptTokenCount": 8,"totalTokenCount": 8},\
"modelVersion": "gemini-x","responseId": "r1"}

data: {"candidates": [{"content": {"parts": [{"text": "Hello"}],"role": "model"},"index": 0}],\
"modelVersion": "gemini-x","responseId": "r1"}

data: {"candidates": [{"content": {"parts": [{"functionCall": {"name": "get_weather",\
"args": {"city": "Rome"}},"thoughtSignature": "EqQ"}],"role": "model"},"finishReason": "STOP",\
"index": 0}],"usageMetadata": {"promptTokenCount": 8,"candidatesTokenCount": 5,\
"thoughtsTokenCount": 3,"totalTokenCount": 16,"cachedContentTokenCount": 4},\
"modelVersion": "gemini-x","responseId": "r1"}

"""


def told(stream):
    decoder = gemini.FORMAT.decoder()
    events = [event for frame in sse.Decoder().feed(stream) for event in decoder.feed(frame)]
    return [*events, *decoder.end()]


def test_a_stream_as_documented():
    assert told(STREAM) == [
        Start("r1", "gemini-x"),
        ThinkingDelta("Hm."),
        TextDelta("Hello"),
        ToolUseStart("call_0", "get_weather"),
        ToolUseDelta('{"city":"Rome"}'),
        Finish("tool_use", Usage(8, 8, 4, reasoning_tokens=3)),
    ]


@pytest.mark.parametrize(
    ("wire", "reason"), [("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("OTHER", "stop")]
)
def test_reasons_to_finish(wire, reason):
    chunk = b'data: {"candidates":[{"finishReason":"%b"}]}\n\n' % wire.encode()
    assert told(chunk)[-1].reason == reason


def test_a_malformed_call_is_an_error():
    with pytest.raises(ProviderError, match="malformed"):
        told(b'data: {"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}\n\n')


def test_a_call_goes_out_whole_and_the_reason_comes_last():
    encoder = gemini.FORMAT.encoder(Asked(decoded("hi")), 7)
    turn = [
        Start("r", "m"),
        ToolUseStart("t", "ls"),
        ToolUseDelta('{"a":'),
        ToolUseDelta("1}"),
        Finish("tool_use", Usage(5, 2)),
    ]
    frames = [frame for event in turn for frame in encoder.feed(event)]
    calls = [frame.data["candidates"][0] for frame in frames]
    assert calls[0]["content"]["parts"][0]["functionCall"]["args"] == {"a": 1}
    assert ["finishReason" in call for call in calls] == [False, True]
    assert all(frame.event is None and frame.comment is None for frame in frames)
    assert encoder.heartbeat.comment is None


def test_events_of_a_stream_fold_into_the_reply():
    assert fold(told(STREAM)).reply.message.parts == (
        Thinking("Hm."),
        Text("Hello"),
        ToolUse("call_0", "get_weather", '{"city":"Rome"}'),
    )


def decoded(*contents, **more):
    turns = [
        {"role": "user", "parts": [{"text": c}]} if isinstance(c, str) else c for c in contents
    ]
    return gemini.decode_request({"contents": turns, **more}).request


def call(name, **more):
    return {"role": "model", "parts": [{"functionCall": {"name": name, "args": {}, **more}}]}


def result(name, response, **more):
    return {"functionResponse": {"name": name, "response": response, **more}}


def test_results_without_ids_find_their_calls_by_name():
    both = {"role": "user", "parts": [result("b", {"output": "2"}), result("a", {"error": "1"})]}
    request = decoded("hi", call("a"), call("b"), both)
    assert request.messages[-1] == Message(
        "tool",
        (
            ToolResult("call_1", "2", name="b"),
            ToolResult("call_0", "1", is_error=True, name="a"),
        ),
    )


def test_names_may_be_in_either_case():
    request = decoded(
        "hi",
        system_instruction={"parts": [{"text": "Be brief."}]},
        generation_config={"max_output_tokens": 7, "stop_sequences": ["END"]},
        tools=[{"function_declarations": [{"name": "f", "parameters": {"snake_case": {}}}]}],
    )
    assert request.messages[0] == Message("system", (Text("Be brief."),))
    assert (request.max_tokens, request.stop) == (7, ("END",))
    assert request.tools[0].parameters == {"snake_case": {}}


def test_googles_schemas_become_json_schemas():
    schema = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "nullable": True},
            "kinds": {"type": "ARRAY", "items": {"type": "STRING", "enum": ["OBJECT"]}},
        },
    }
    request = decoded(
        "hi",
        generationConfig={"responseMimeType": "application/json", "responseSchema": schema},
    )
    assert request.response_format.schema == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"]},
            "kinds": {"type": "array", "items": {"type": "string", "enum": ["OBJECT"]}},
        },
    }


@pytest.mark.parametrize(
    ("config", "meant"),
    [
        ({"mode": "ANY"}, ToolChoice("required")),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice("named", "f")),
        ({"mode": "NONE"}, ToolChoice("none")),
        ({"mode": "AUTO"}, ToolChoice()),
    ],
)
def test_a_tool_choice_is_read(config, meant):
    request = decoded("hi", toolConfig={"functionCallingConfig": config})
    assert request.tool_choice == meant


DECLARED = [{"functionDeclarations": [{"name": name} for name in "abc"]}]


def test_only_the_allowed_functions_are_offered():
    calling = {"mode": "ANY", "allowedFunctionNames": ["a", "c"]}
    config = {"functionCallingConfig": calling}
    request = decoded("hi", tools=DECLARED, toolConfig=config)
    assert [tool.name for tool in request.tools] == ["a", "c"]
    assert request.tool_choice == ToolChoice("required")


REFUSED = {
    "cachedContent": {"cachedContent": "cachedContents/x"},
    "speechConfig": {"generationConfig": {"speechConfig": {"voiceConfig": {}}}},
    "responseModalities": {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}},
    "responseMimeType": {"generationConfig": {"responseSchema": {"type": "OBJECT"}}},
}


@pytest.mark.parametrize(("name", "more"), REFUSED.items(), ids=REFUSED)
def test_what_would_change_the_answer_is_refused(name, more):
    with pytest.raises(InvalidValue, match=name):
        decoded("hi", **more)


def test_what_nobody_knows_in_a_configuration_leaves_a_note():
    with collecting() as notes:
        decoded("hi", generationConfig={"enableTricks": True, "responseModalities": ["TEXT"]})
    assert [note.pointer for note in notes] == ["/generationConfig/enableTricks"]


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"output": "ok"}, "ok", False),
        ({"result": 5}, "5", False),
        ({"error": "no"}, "no", True),
        ({"result": 5, "unit": "C"}, '{"result":5,"unit":"C"}', False),
        ({"error": None, "output": "ok"}, '{"error":null,"output":"ok"}', False),
        ({}, "{}", False),
    ],
)
def test_what_a_function_said_is_read_whole(response, text, is_error):
    turn = {"role": "user", "parts": [result("f", response)]}
    (message,) = decoded(turn).messages
    assert message.parts == (ToolResult("", text, is_error=is_error, name="f"),)


def test_a_chunk_that_only_keeps_the_connection_does_not_name_the_answer():
    empty = b'data: {"candidates":[{"content":{"parts":[{"text":""}]},"index":0}]}\n\n'
    assert told(empty + STREAM) == told(STREAM)


def test_counts_of_googles_schemas_are_numbers():
    schema = {"type": "ARRAY", "minItems": "2", "items": {"type": "STRING", "maxLength": "9"}}
    config = {"responseMimeType": "application/json", "responseSchema": schema}
    assert decoded("hi", generationConfig=config).response_format.schema == {
        "type": "array",
        "minItems": 2,
        "items": {"type": "string", "maxLength": 9},
    }


def test_properties_stand_in_the_order_that_is_given_beside_them():
    properties = {name: {"type": "STRING"} for name in "abc"}
    schema = {"type": "OBJECT", "properties": properties, "propertyOrdering": ["c", "x", "a"]}
    config = {"responseMimeType": "application/json", "responseSchema": schema}
    read = decoded("hi", generationConfig=config).response_format.schema
    assert list(read["properties"]) == ["c", "a", "b"]
    assert "propertyOrdering" not in read


def test_calls_of_a_history_go_out_with_a_word_for_those_who_check_signatures():
    request = Request("m", (Message("assistant", (Text("ok"), ToolUse("t", "f", "{}"))),))
    (turn,) = gemini.encode_request(request, stream=True)["contents"]
    signatures = [part.get("thoughtSignature") for part in turn["parts"]]
    assert signatures == [None, "skip_thought_signature_validator"]


def test_tools_that_google_runs_are_left_out():
    assert decoded("hi", tools=[{"googleSearch": {}}]).tools == ()


def test_what_is_neither_text_nor_call_is_refused():
    with pytest.raises(InvalidValue, match="executableCode"):
        decoded({"role": "model", "parts": [{"executableCode": {}}]})


def test_an_overflow_is_told_in_googles_words():
    error = ContextLengthExceeded("long", prompt_tokens=90, context_length=64)
    assert encode_error(error, 400)["error"] == {
        "code": 400,
        "message": "The input token count (90) exceeds the maximum number of tokens allowed (64).",
        "status": "INVALID_ARGUMENT",
    }
