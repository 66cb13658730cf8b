"""Valid requests of every format, and what becomes of one when its fields are dropped, retyped,
swapped or filled with junk."""

import json
from random import Random
from typing import Any

PARAMETERS = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
PIXEL = "data:image/png;base64,aGk="
CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": PIXEL}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "h",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "ok"}]},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": PARAMETERS}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 5,
    "n": 2,
    "seed": 3,
    "stop": ["a"],
    "temperature": 0.5,
    "top_k": 3,
    "logit_bias": {"5": 1},
    "logprobs": True,
    "top_logprobs": 2,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": PARAMETERS},
    },
    "reasoning_effort": "low",
    "chat_template_kwargs": {"enable_thinking": False},
    "keep_alive": "5m",
    "parallel_tool_calls": False,
    "modalities": ["text"],
}
COMPLETIONS = {
    "model": "m",
    "prompt": ["a", "b"],
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 5,
    "n": 2,
    "stop": "a",
    "logprobs": 2,
    "logit_bias": {"5": 1},
    "best_of": 1,
    "echo": False,
}
RESPONSES = {
    "model": "m",
    "instructions": "i",
    "input": [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "x"},
                {"type": "input_image", "image_url": PIXEL},
            ],
        },
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "s"}],
            "content": [{"type": "reasoning_text", "text": "t"}],
            "encrypted_content": "e",
        },
        {
            "type": "function_call",
            "call_id": "c",
            "name": "f",
            "namespace": "n",
            "arguments": "{}",
        },
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": "o"}],
        },
        {"type": "custom_tool_call", "call_id": "d", "name": "p", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "x"},
    ],
    "tools": [
        {"type": "function", "name": "f", "parameters": PARAMETERS},
        {"type": "custom", "name": "p"},
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]},
        {"type": "web_search"},
    ],
    "tool_choice": {"type": "function", "name": "f"},
    "text": {"format": {"type": "json_schema", "name": "x", "schema": PARAMETERS}},
    "reasoning": {"effort": "low"},
    "include": ["message.output_text.logprobs"],
    "top_logprobs": 3,
    "max_output_tokens": 5,
    "store": True,
    "previous_response_id": "r",
    "metadata": {"a": "b"},
}
ANTHROPIC = {
    "model": "m",
    "max_tokens": 5,
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "x"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "h", "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "o"},
                        {"type": "tool_reference", "tool_name": "W"},
                    ],
                }
            ],
        },
    ],
    "tools": [{"name": "f", "input_schema": PARAMETERS, "defer_loading": True}],
    "tool_choice": {"type": "tool", "name": "f"},
    "thinking": {"type": "enabled", "budget_tokens": 5},
    "stop_sequences": ["a"],
    "output_config": {"format": {"type": "json_schema", "schema": PARAMETERS}},
    "top_k": 3,
    "stream": True,
}
GEMINI = {
    "contents": [
        {
            "role": "user",
            "parts": [{"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}],
        },
        {
            "role": "model",
            "parts": [
                {"functionCall": {"id": "a", "name": "f", "args": {"a": 1}}},
                {"text": "t", "thought": True, "thoughtSignature": "s"},
            ],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"id": "a", "name": "f", "response": {"output": "o"}}}],
        },
    ],
    "system_instruction": {"parts": [{"text": "s"}]},
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "topK": 3,
        "maxOutputTokens": 5,
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "properties": {"a": {"nullable": True}}},
        "stopSequences": ["a"],
        "thinkingConfig": {"thinkingBudget": 0},
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 2,
    },
}


def nested(opening: str, closing: str) -> Any:
    return json.loads(opening * 900 + "{}" + closing * 900)


DEEP = (nested("[", "]"), nested('{"a":', "}"))
JUNK = (
    *(None, True, False, 0, -1, 2**31, 2**64, -(2**70), 1e308, float("inf"), 0.5, 15.0),
    *("", "x", "none", "\ud83d", "\0", "a" * 100_000),
    *([], {}, [None], [1], ["x"], [[]], [{}], {"a": 1}, {"": ""}, {"error": 1}, {"name": "f"}),
    *({"type": "text"}, {"type": 5}, {"type": "text", "text": 5}, {"text": 5}, *DEEP),
)


def mutated(request: Any, random: Random) -> Any:
    """A copy with one to three changes."""
    request = copied(request)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if places := list(_places(request)):
            holder, key = random.choice(places)
            _change(holder, key, random, places)
    return request


def _change(holder: Any, key: Any, random: Random, places: list[tuple[Any, Any]]) -> None:
    match random.randrange(5):
        case 0:
            del holder[key]
        case 1:
            holder[key] = [holder[key]]
        case 2:
            holder[key] = {"type": "text", "text": holder[key]}
        case 3:
            other, at = random.choice(places)
            holder[key] = copied(other[at])
        case _:
            holder[key] = copied(random.choice(JUNK))


def copied(value: Any) -> Any:
    """Nested without end, it is taken as it is: nothing copies that."""
    is_plain = value not in DEEP if isinstance(value, list | dict) and len(value) == 1 else True
    return json.loads(json.dumps(value)) if is_plain else value


def _places(value: Any, depth: int = 12) -> Any:
    if depth == 0 or not isinstance(value, dict | list):
        return
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        yield from _places(value[key], depth - 1)
