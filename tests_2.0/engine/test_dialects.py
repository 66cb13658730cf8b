# ruff: noqa: RUF001, E501 -- recorded as the models write them
"""Calls as the model families write them, cut in every place, become the same events."""

import json
from importlib.util import find_spec
from pathlib import Path
from time import process_time

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlxk.chat.fold import fold
from mlxk.chat.types import Request, Text, Thinking, Tool, ToolUse
from mlxk.engine.answer import AnswerParser, Markup
from mlxk.engine.markup import HARMONY, SPEECHES, THINK, markup
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


def parse(text, size, dialect, speech=None):
    marks = Markup(None, dialect)
    if speech:
        marks = Markup(speech.think, dialect, speech.noise, speech.ends)
    parser = AnswerParser(marks, tools=(WEATHER,), new_id=lambda kind: kind)
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


MARKED = [
    row for row in RECORDED if BY_NAME[row[0]].end and row[0] not in ("pythonic", "kimi_xtml")
]


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(("name", "text", "calls"), MARKED, ids=[row[0] for row in MARKED])
def test_an_end_mark_in_a_value_does_not_end_the_call(name, text, calls, size):
    city = f"see {BY_NAME[name].end} here"
    text, calls = text.replace("Köln", city), orjson.loads(orjson.dumps(calls))
    calls[0][1]["city"] = city
    parts = parse("I look. " + text + "\nDone.", size, BY_NAME[name])
    assert parts[0] == Text("I look.")
    assert parts[-1] == Text("Done.")
    assert [[part.name, orjson.loads(part.arguments)] for part in parts[1:-1]] == calls


LOOSE = {
    "a line end in a text": (
        "hermes",
        '<tool_call>{"name": "get_weather", "arguments": {"city": "K\n\\u00f6ln"}}</tool_call>',
        {"city": "K\nöln"},
    ),
    "words of Python": (
        "hermes",
        "<tool_call>{'name': 'get_weather', 'arguments': {'units': [None, true]}}</tool_call>",
        {"units": [None, True]},
    ),
    "a bracket is missing": (
        "hermes",
        '<tool_call>{"name": "get_weather", "arguments": {"city": "Bonn"}</tool_call>',
        {"city": "Bonn"},
    ),
    "a bracket too much": (
        "hermes",
        '<tool_call>{"name": "get_weather", "arguments": {"city": "Bonn"}}}</tool_call>',
        {"city": "Bonn"},
    ),
    "no arguments": (
        "hermes",
        '<tool_call>{"name": "get_weather", "arguments": null}</tool_call>',
        {},
    ),
    "the name under function": (
        "hermes",
        '<tool_call>{"function": "get_weather", "arguments": {"days": "2"}}</tool_call>',
        {"days": 2},
    ),
    "a tag in a value": (
        "function_tags",
        "<tool_call><function=get_weather><parameter=city>a</parameter> b</function> c"
        "</parameter></function></tool_call>",
        {"city": "a</parameter> b</function> c"},
    ),
    "a parameter without its end": (
        "function_tags",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nBonn\n</function>\n</tool_call>",
        {"city": "Bonn"},
    ),
    "a tag in an argument": (
        "minimax",
        '<minimax:tool_call><invoke name="get_weather"><parameter name="city">a</parameter>'
        "</invoke> b</parameter></invoke></minimax:tool_call>",
        {"city": "a</parameter></invoke> b"},
    ),
    "lines in a text of Python": (
        "pythonic",
        '<|tool_call_start|>[get_weather(city="a\nb", units=["x", null])]<|tool_call_end|>',
        {"city": "a\nb", "units": ["x", None]},
    ),
    "sets and bytes of Python": (
        "pythonic",
        "<|tool_call_start|>[get_weather(units={1}, city=b'x')]<|tool_call_end|>",
        {"units": [1], "city": "b'x'"},
    ),
    "a number that no machine holds": (
        "pythonic",
        "<|tool_call_start|>[get_weather(days=123456789012345678901234567890)]<|tool_call_end|>",
        {"days": 123456789012345678901234567890},
    ),
    "words without marks": (
        "function_gemma",
        "<start_function_call>call:get_weather{city:Bonn am Rhein,units:[true,c]}<end_function_call>",
        {"city": "Bonn am Rhein", "units": [True, "c"]},
    ),
}


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(("name", "text", "arguments"), LOOSE.values(), ids=LOOSE)
def test_what_is_nearly_right_is_read(name, text, arguments, size):
    (call,) = parse(text, size, BY_NAME[name])
    assert (call.name, json.loads(call.arguments)) == ("get_weather", arguments)


def test_two_calls_between_the_same_marks():
    text = '<|tool_call>call:f{a:<|"|>}{<|"|>}call:g{b:{c:[1]}}<tool_call|>'
    parts = parse(text, 1, BY_NAME["gemma4"])
    assert [(part.name, orjson.loads(part.arguments)) for part in parts] == [
        ("f", {"a": "}{"}),
        ("g", {"b": {"c": [1]}}),
    ]


def test_a_word_of_many_letters_takes_no_time():
    began, name = process_time(), "mistral"
    text = '[TOOL_CALLS]get_weather[ARGS]{"city": "' + "a" * 100_000 + '"}'
    (call,) = parse(text, 100_000, BY_NAME[name])
    assert call.name == "get_weather"
    assert process_time() - began < 1


@pytest.mark.parametrize("body", ["[" * 9000, "-" * 9000 + "1", "[f(" * 3000, '{"a":' * 9000])
@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_nothing_a_model_writes_breaks_a_reader(name, body):
    dialect = BY_NAME[name]
    assert len(parse(dialect.start + body + dialect.end, 10_000, dialect)) == 1


CRUMBS = ["<think>", "</think>", "a", " ", "\n", '"', "{", "}", "<", "f", "\\", "call:f", "[f("]


@pytest.mark.parametrize("name", sorted(BY_NAME))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_where_the_text_is_cut_changes_nothing(name, data):
    dialect = BY_NAME[name]
    good = next(row[1] for row in RECORDED if row[0] == name)
    crumbs = st.sampled_from([*CRUMBS, dialect.start, dialect.end, good])
    text = "".join(data.draw(st.lists(crumbs, max_size=12)))
    whole = parse(text, 10_000, dialect, THINK)
    assert parse(text, 1, dialect, THINK) == parse(text, 3, dialect, THINK) == whole


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
    thought, call = parse(text, size, BY_NAME["harmony"], HARMONY)
    assert thought == Thinking("Need the weather.")
    assert (call.name, orjson.loads(call.arguments)) == ONE[0]
    text = "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Hi"
    assert parse(text, size, None, HARMONY) == (Thinking("Hm"), Text("Hi"))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_harmony_may_say_something_before_it_calls(size):
    text = (
        "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant"
        "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"
        "<|channel|>analysis<|message|>So.<|end|><|start|>assistant"
        "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
        '{"city": "Köln", "days": 3}<|call|>'
    )
    *said, call = parse(text, size, BY_NAME["harmony"], HARMONY)
    assert said == [Thinking("Hm"), Text("I look."), Thinking("So.")]
    assert (call.name, orjson.loads(call.arguments)) == ONE[0]


SPOKEN = {
    "kimi": "<|open|>think<|sep|>Hm<|close|>think<|sep|><|open|>response<|sep|>Hi"
    "<|close|>response<|sep|><|close|>message<|sep|>",
    "gemma": "<|channel>thought\nHm<channel|>Hi",
    "muse": " to=self<|message|>Hm<|eom|><|start|>assistant to=user<|message|>Hi<|eot|>",
    "lfm": "<|think:start|>\nHm\n<|think:end|>\nHi",
}


class Words:
    """A model as far as its marks go."""

    template = None
    parser = None

    def __init__(self, words):
        self.has_token = set(words).__contains__


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("text", SPOKEN.values(), ids=SPOKEN)
def test_thoughts_of_other_families_are_told_apart(text, size):
    speech = next(each for each in SPEECHES if all(clue in text for clue in each.clues))
    assert parse(text, size, None, speech) == (Thinking("Hm"), Text("Hi"))
    assert markup(Words(speech.clues), Request("m", ())).think == speech.think


def test_a_vocabulary_tells_its_dialect_where_the_template_does_not():
    assert choose("", {"<|tool_call_start|>", "<|tool_call_end|>"}.__contains__).name == "pythonic"
    assert choose("<tool_call>", {"<|tool_call_start|>"}.__contains__).name == "hermes"


def test_every_parser_of_mlx_lm_is_a_dialect_here():
    spec = find_spec("mlx_lm")
    assert spec
    assert spec.submodule_search_locations
    (folder,) = spec.submodule_search_locations
    names = {path.stem for path in Path(folder, "tool_parsers").glob("*.py")}
    unknown = {name for name in names if choose("", parser=name).name == "hermes"}
    assert unknown == {"__init__", "json_tools", "mistral"}
    assert choose("[TOOL_CALLS]", parser="mistral").name == "mistral_list"


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
