"""Thoughts, text and calls are told apart however the text is cut."""

from itertools import count
from time import process_time

import pytest

from mlxk.chat.fold import fold
from mlxk.chat.types import Text, Thinking, Tool, ToolUse, ToolUseStart
from mlxk.engine.answer import AnswerParser, Markup
from mlxk.engine.toolcalls.dialects import HERMES, choose

THINK = ("<think>", "</think>")
TOOLS = (
    Tool(
        "Read",
        "",
        {
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "limit": {"type": "integer"},
                "flags": {"type": "array", "items": {"type": "boolean"}},
            },
        },
    ),
)


def parse(text, size, *, dialect=HERMES, think=THINK, stops=(), is_thinking=False):
    numbers = count(1)
    parser = AnswerParser(
        Markup(think, dialect),
        tools=TOOLS,
        stops=stops,
        is_thinking=is_thinking,
        new_id=lambda kind: f"{kind}_{next(numbers)}",
    )
    pieces = (text[at : at + size] for at in range(0, len(text), size))
    events = [event for piece in pieces for event in parser.feed(piece)]
    return [*events, *parser.flush()], parser


CALL = '<tool_call>\n{"name": "Read", "arguments": {"path": "a", "limit": "5"}}\n</tool_call>'
READ = ToolUse("call_1", "Read", '{"path":"a","limit":5}')

CASES = {
    "plain": ("Hello  world \n", [Text("Hello  world \n")]),
    "leading space": (" get", [Text(" get")]),
    "thought": ("<think>\nHm.\n</think>\n\nYes", [Thinking("Hm."), Text("Yes")]),
    "empty thought": ("<think>\n\n</think>\n\nYes", [Text("Yes")]),
    "a call ends the thought": ("<think>Hm.\n" + CALL, [Thinking("Hm."), READ]),
    "two calls end it": (
        f"<think>Hm.\n{CALL}\n{CALL}\n",
        [Thinking("Hm."), READ, ToolUse("call_2", "Read", '{"path":"a","limit":5}')],
    ),
    "a cut call ends it": (
        "<think>Hm." + CALL.removesuffix("</tool_call>"),
        [Thinking("Hm."), READ],
    ),
    "a call is thought of": (
        f"<think>So:\n{CALL}\n</think>\n{CALL}",
        [Thinking("So:\n" + CALL), READ],
    ),
    "a thought goes on after a call": (
        f"<think>So: {CALL} or not",
        [Thinking(f"So: {CALL} or not")],
    ),
    "a mark is thought of": (
        "<think>a <tool_call> b</think>c",
        [Thinking("a <tool_call> b"), Text("c")],
    ),
    "no call in a thought": ("<think>a <tool_call> b", [Thinking("a <tool_call> b")]),
    "doubled closer": ("<think>a</think></think>b", [Thinking("a"), Text("b")]),
    "unclosed thought": ("<think>never ends", [Thinking("never ends")]),
    "quoted tag": ("Use <think> tags </think> so", [Text("Use <think> tags </think> so")]),
    "call": (CALL, [READ]),
    "text, call": ("I read.\n" + CALL, [Text("I read."), READ]),
    "thought, call": ("<think>x</think>\n" + CALL, [Thinking("x"), READ]),
    "call, text": (CALL + "\n\nDone", [READ, Text("Done")]),
    "unclosed call": (CALL.removesuffix("</tool_call>"), [READ]),
    "broken arguments": (
        '<tool_call>{"name": "Read", "arguments": {"path": }</tool_call>',
        [ToolUse("call_1", "Read", '{"path": }')],
    ),
    "no call at all": ("<tool_call>oops</tool_call>", [Text("<tool_call>oops</tool_call>")]),
    "almost a tag": ("a <tool_cat> b", [Text("a <tool_cat> b")]),
    "tag at the end": ("a <tool_", [Text("a <tool_")]),
}


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(("text", "parts"), CASES.values(), ids=CASES.keys())
def test_parts_are_told_apart(text, parts, size):
    events, _ = parse(text, size)
    assert list(fold(events).message.parts) == parts


def test_two_calls_have_two_ids():
    events, parser = parse(CALL + "\n" + CALL, 3)
    assert [e.id for e in events if isinstance(e, ToolUseStart)] == ["call_1", "call_2"]
    assert parser.has_called


def test_a_call_is_announced_before_its_arguments_are_complete():
    parser = AnswerParser(Markup(None, HERMES), tools=TOOLS, new_id=lambda kind: kind)
    assert parser.feed('<tool_call>{"name": "Read", "argu') == [ToolUseStart("call", "Read")]


def test_a_thought_that_speaks_of_calls_goes_on_being_told():
    parser = AnswerParser(Markup(THINK, HERMES), tools=TOOLS, new_id=lambda kind: kind)
    events = parser.feed("<think>I write <tool_call> tags ") + parser.feed("and so on " * 50)
    assert fold(events).message.parts[0].text.startswith("I write <tool_call> tags and so on")


def test_a_long_call_that_is_about_calls_takes_no_longer():
    def seconds(quoted):
        parser = AnswerParser(Markup(None, HERMES), tools=TOOLS, new_id=lambda kind: kind)
        began = process_time()
        parser.feed('<tool_call>{"name": "Read", "arguments": {"path": "' + "y" * 200_000 + quoted)
        for _ in range(400):
            parser.feed("some words ")
        (end,) = parser.feed('"}}</tool_call>')
        assert quoted in end.arguments
        return process_time() - began

    assert seconds("</tool_call>" * 20) < 10 * seconds("x" * 240) + 0.1


def test_a_prompt_may_open_the_thought():
    events, _ = parse("Hm.</think>Yes", 1, is_thinking=True)
    assert list(fold(events).message.parts) == [Thinking("Hm."), Text("Yes")]


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_stop_strings_end_visible_text_only(size):
    events, parser = parse("<think>END here</think>ab END cd", size, stops=["END"])
    assert list(fold(events).message.parts) == [Thinking("END here"), Text("ab ")]
    assert parser.stop == "END"


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_what_may_be_a_stop_comes_before_the_call_that_follows(size):
    events, parser = parse("Let us S" + CALL, size, stops=["STOP"])
    assert list(fold(events).message.parts) == [Text("Let us S"), READ]
    assert parser.stop is None


def test_without_tools_the_marks_are_text():
    events, _ = parse(CALL, 4, dialect=None)
    assert list(fold(events).message.parts) == [Text(CALL)]


def test_function_tags_are_chosen_by_the_template_and_typed_by_the_schema():
    dialect = choose("... <tool_call>\n<function=example> ...")
    text = (
        "<tool_call>\n<function=Read>\n<parameter=path>\na\nb\n</parameter>\n"
        "<parameter=limit>\n5\n</parameter>\n<parameter=flags>\n[true]\n</parameter>\n"
        "</function>\n</tool_call>"
    )
    events, _ = parse(text, 3, dialect=dialect)
    arguments = '{"path":"a\\nb","limit":5,"flags":[true]}'
    assert list(fold(events).message.parts) == [ToolUse("call_1", "Read", arguments)]
