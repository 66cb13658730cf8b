# ruff: noqa: RUF001, E501 -- recorded as the models write them
"""Calls as the model families write them, cut in every place, become the same events."""

import orjson
import pytest

from mlxk.chat.fold import fold
from mlxk.chat.types import Text, Thinking, Tool, ToolUse
from mlxk.engine.answer import AnswerParser, Markup
from mlxk.engine.markup import NOISE, THOUGHTS
from mlxk.engine.toolcalls.dialects import DIALECTS, choose

BY_NAME = {dialect.name: dialect for dialect in DIALECTS}
WEATHER = Tool(
    "get_weather",
    "",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "units": {"type": "array", "items": {"type": "string"}},
        },
    },
)
ONE = [("get_weather", {"city": "Köln", "days": 3})]
TWO = [*ONE, ("get_weather", {"city": "Bonn", "days": 1})]

RECORDED = [
    (
        "hermes",
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Köln", "days": 3}}\n</tool_call>',
        ONE,
    ),
    (
        "function_tags",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nKöln\n</parameter>\n"
        "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
        ONE,
    ),
    (
        "minimax",
        '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Köln</parameter>\n'
        '<parameter name="days">3</parameter>\n</invoke>\n<invoke name="get_weather">\n'
        '<parameter name="city">Bonn</parameter>\n<parameter name="days">1</parameter>\n</invoke>\n'
        "</minimax:tool_call>",
        TWO,
    ),
    (
        "glm",
        "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Köln</arg_value>\n"
        "<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
        ONE,
    ),
    (
        "longcat",
        "<longcat_tool_call>get_weather\n<longcat_arg_key>city</longcat_arg_key>\n"
        "<longcat_arg_value>Köln</longcat_arg_value>\n<longcat_arg_key>days</longcat_arg_key>\n"
        "<longcat_arg_value>3</longcat_arg_value>\n</longcat_tool_call>",
        ONE,
    ),
    (
        "pythonic",
        '<|tool_call_start|>[get_weather(city="Köln", days=3), '
        'get_weather(city="Bonn", days=1)]<|tool_call_end|>',
        TWO,
    ),
    (
        "kimi",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
        '<|tool_call_argument_begin|>{"city": "Köln", "days": 3}<|tool_call_end|>'
        "<|tool_call_begin|>functions.get_weather:1<|tool_call_argument_begin|>"
        '{"city": "Bonn", "days": 1}<|tool_call_end|><|tool_calls_section_end|>',
        TWO,
    ),
    (
        "deepseek_fenced",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
        '{"city": "Köln", "days": 3}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        ONE,
    ),
    (
        "deepseek",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>"
        '{"city": "Köln", "days": 3}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        ONE,
    ),
    (
        "mistral_list",
        '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Köln", "days": 3}, '
        '"id": "abcdefghi"}]',
        ONE,
    ),
    (
        "mistral",
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Köln", "days": 3}'
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Bonn", "days": 1}',
        TWO,
    ),
    (
        "glm",
        "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Köln</arg_value>"
        "<arg_key>days</arg_key><arg_value>3</arg_value></tool_call>",
        ONE,
    ),
    (
        "harmony",
        "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
        '{"city": "Köln", "days": 3}<|call|>',
        ONE,
    ),
    (
        "mistral",
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Köln", "days": 3}'
        'get_weather[CALL_ID]abc[ARGS]{"city": "Bonn", "days": 1}',
        TWO,
    ),
    ("gemma4", '<|tool_call>call:get_weather{city:<|"|>Köln<|"|>,days:3}<tool_call|>', ONE),
    (
        "function_gemma",
        "<start_function_call>call:get_weather{city:<escape>Köln<escape>,days:3}"
        "<end_function_call>",
        ONE,
    ),
    (
        "muse_spark",
        '<atem:function_calls>\n<atem:invoke name="get_weather">\n'
        '<atem:parameter name="city">Köln</atem:parameter>\n'
        '<atem:parameter name="days">3</atem:parameter>\n</atem:invoke>\n</atem:function_calls>',
        ONE,
    ),
    (
        "minicpm",
        '<function name="get_weather"><param name="city"><![CDATA[Köln]]></param>'
        '<param name="days">3</param></function>\n'
        '<function name="get_weather"><param name="city">Bonn</param>'
        '<param name="days">1</param></function>',
        TWO,
    ),
    (
        "kimi_xtml",
        '<|open|>tools<|sep|><|open|>call tool="get_weather" index="1"<|sep|>'
        '<|open|>argument key="city" type="string"<|sep|>Köln<|close|>argument<|sep|>'
        '<|open|>argument key="days" type="integer"<|sep|>3<|close|>argument<|sep|>'
        '<|close|>call<|sep|><|open|>call tool="get_weather" index="2"<|sep|>'
        '<|open|>json type="object"<|sep|>{"city": "Bonn", "days": 1}<|close|>json<|sep|>'
        "<|close|>call<|sep|><|close|>tools<|sep|>",
        TWO,
    ),
    ("bare_json", '{"name": "get_weather", "parameters": {"city": "Köln", "days": "3"}}', ONE),
    (
        "bare_json",
        '{"name": "get_weather", "parameters": {"city": "Köln", "days": 3}}; '
        '{"name": "get_weather", "parameters": {"city": "Bonn", "days": 1}}',
        TWO,
    ),
]


def test_every_dialect_has_been_recorded():
    assert {row[0] for row in RECORDED} == set(BY_NAME)


def parse(text, size, dialect, think=None, noise=()):
    parser = AnswerParser(Markup(think, dialect, noise), tools=(WEATHER,), new_id=lambda kind: kind)
    pieces = (text[at : at + size] for at in range(0, len(text), size))
    events = [event for piece in pieces for event in parser.feed(piece)]
    return fold([*events, *parser.flush()]).message.parts


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(("name", "text", "calls"), RECORDED, ids=[row[0] for row in RECORDED])
def test_recorded_calls_are_read(name, text, calls, size):
    parts = parse(text, size, BY_NAME[name])
    assert [(part.name, orjson.loads(part.arguments)) for part in parts] == calls


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("name", sorted({row[0] for row in RECORDED} - {"bare_json"}))
def test_text_before_a_call_stays_text(name, size):
    text = next(row[1] for row in RECORDED if row[0] == name)
    before, *calls = parse("I look.\n\n" + text, size, BY_NAME[name])
    assert before == Text("I look.")
    assert all(isinstance(part, ToolUse) for part in calls)


NONSENSE = ["?", "{", "[", '{"name": 3}', "call:x{", "f(", "[f(", "<function=", "[ARGS]", "f ", "1"]


@pytest.mark.parametrize("body", NONSENSE)
@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_nonsense_between_the_marks_stays_text_or_becomes_one_call(name, body):
    dialect = BY_NAME[name]
    text = dialect.start + body + dialect.end
    (part,) = parse(text, 1000, dialect)
    assert parse(text, 1, dialect) == parse(text, 7, dialect) == (part,)
    assert part == Text(text) or (part.name and part.name in body)


def test_a_call_after_a_broken_one_is_a_call_of_its_own():
    broken = "<|tool_call>call:f{<tool_call|>"
    good = next(row[1] for row in RECORDED if row[0] == "gemma4")
    first, second = parse(broken + good, 1, BY_NAME["gemma4"])
    assert (first.name, first.arguments) == ("f", "call:f{")
    assert (second.name, orjson.loads(second.arguments)) == ONE[0]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_harmony_channels_become_thoughts_text_and_calls(size):
    text = (
        "<|channel|>analysis<|message|>Need the weather.<|end|><|start|>assistant"
        "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
        '{"city": "Köln", "days": 3}'
    )
    thought, call = parse(text, size, BY_NAME["harmony"], THOUGHTS[0], NOISE)
    assert thought == Thinking("Need the weather.")
    assert (call.name, orjson.loads(call.arguments)) == ONE[0]
    text = "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Hi"
    assert parse(text, size, None, THOUGHTS[0], NOISE) == (Thinking("Hm"), Text("Hi"))


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("... <tool_call>\\n<function=x> ...", "function_tags"),
        ("... <tool_call> {{ tool_call.name }}", "hermes"),
        ("... <tool_call>{{ name }}\n<arg_key>", "glm"),
        ("[TOOL_CALLS]", "mistral_list"),
        ("[TOOL_CALLS]{{ name }}[ARGS]", "mistral"),
        ("<｜tool▁calls▁begin｜> ```json", "deepseek_fenced"),
        ("<｜tool▁calls▁begin｜>", "deepseek"),
        ('{"name": "f", "parameters": {}}', "bare_json"),
        ("nothing known", "hermes"),
    ],
)
def test_a_template_tells_its_dialect(template, name):
    assert choose(template).name == name
