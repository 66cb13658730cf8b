"""Streamed or whole, an answer says the same: content, calls, reason to finish and usage."""

from collections import defaultdict
from dataclasses import replace
from random import Random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlxk.chat.fold import fold
from mlxk.chat.types import (
    Finish,
    Request,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)
from mlxk.wire import anthropic, gemini, openai_chat, openai_completions, openai_responses
from mlxk.wire.frames import Asked

CODECS = {
    "chat": openai_chat.FORMAT,
    "completions": openai_completions.FORMAT,
    "responses": openai_responses.FORMAT,
    "anthropic": anthropic.FORMAT,
    "gemini": gemini.FORMAT,
}
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
arguments = st.one_of(
    st.dictionaries(words, words, max_size=2).map(lambda value: orjson.dumps(value).decode()),
    st.sampled_from(["", "{", '{"a": ', "[1]", "null", "no JSON"]),
)
texts = words.map(lambda text: [TextDelta(text)])
thoughts = words.map(lambda text: [ThinkingDelta(text)])
calls = st.tuples(words, st.lists(arguments, min_size=1, max_size=2)).map(
    lambda call: [ToolUseStart(f"t_{call[0]}", call[0]), *map(ToolUseDelta, call[1])]
)
usages = st.tuples(*[st.integers(0, 9)] * 4).map(
    lambda n: Usage(n[0] + n[1], n[2] + n[3], n[1], reasoning_tokens=n[3])
)
ends = st.tuples(st.sampled_from(["stop", "length", "content_filter"]), usages, st.booleans())


@st.composite
def answers(draw, kinds=(texts, thoughts, calls), id="r"):
    body = [event for part in draw(st.lists(st.one_of(*kinds), max_size=6)) for event in part]
    reason, usage, by_text = draw(ends)
    if reason == "stop" and any(isinstance(event, ToolUseStart) for event in body):
        reason = "tool_use"
    return [Start(id, "m"), *body, Finish(reason, usage, "END" if by_text else None)]


def said(reply):
    """What counts, where a format keeps no order."""
    parts = reply.message.parts
    kept = [[p.text for p in parts if isinstance(p, kind)] for kind in (Thinking, Text)]
    calls = [(use.id, use.name, use.arguments) for use in reply.message.tool_uses]
    return ["".join(kind) for kind in kept], calls, reply.reason, reply.usage, reply.stop


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_stream_and_a_whole_answer_say_the_same(name, data):
    fmt, asked = CODECS[name], Asked(Request("m", ()))
    events = data.draw(answers((texts,)) if name == "completions" else answers())
    encoder, decoder = fmt.encoder(asked, 7), fmt.decoder()
    frames = [frame for event in events for frame in encoder.feed(event)]
    told = fold([e for frame in frames for e in decoder.feed(frame)] + decoder.end()).reply
    whole = fmt.decode_reply(fmt.encode_replies([fold(events).reply], asked, 7))
    assert said(told) == said(whole)


def gathered(frames):
    """OpenAI's chunks put together as any client would: by the index of the choice."""
    choices, usage = defaultdict(lambda: {"text": "", "thoughts": "", "calls": {}}), None
    for data in (frame.data for frame in frames if frame.data):
        usage = data.get("usage") or usage
        for choice in data["choices"]:
            mine, delta = choices[choice["index"]], choice.get("delta", {})
            mine["text"] += delta.get("content") or choice.get("text") or ""
            mine["thoughts"] += delta.get("reasoning_content") or ""
            for call in delta.get("tool_calls") or ():
                one = mine["calls"].setdefault(call["index"], [None, None, ""])
                one[0], one[1] = call.get("id", one[0]), call["function"].get("name", one[1])
                one[2] += call["function"]["arguments"]
            mine["reason"] = choice["finish_reason"] or mine.get("reason")
    return dict(choices), usage


def laid_out(body):
    """The same of a whole answer."""
    choices = {}
    for choice in body["choices"]:
        message = choice.get("message", {})
        calls = [
            [call["id"], call["function"]["name"], call["function"]["arguments"]]
            for call in message.get("tool_calls") or ()
        ]
        choices[choice["index"]] = {
            "text": message.get("content") or choice.get("text") or "",
            "thoughts": message.get("reasoning_content") or "",
            "calls": dict(enumerate(calls)),
            "reason": choice["finish_reason"],
        }
    return choices, body["usage"]


@pytest.mark.parametrize("name", ["chat", "completions"])
@settings(max_examples=40, deadline=None)
@given(data=st.data(), count=st.integers(2, 4), seed=st.integers(0, 99))
def test_several_choices_say_the_same_however_they_come_mixed(name, data, count, seed):
    fmt = CODECS[name]
    prompts = ("a",) * count if name == "completions" else ()
    asked = Asked(Request("m", ()), choices=count, prompts=prompts)
    kinds = (texts,) if prompts else (texts, thoughts, calls)
    all_events = [data.draw(answers(kinds, id=f"r{i}")) for i in range(count)]
    turns = [i for i, events in enumerate(all_events) for _ in events[1:]]
    Random(seed).shuffle(turns)
    encoder, queues = fmt.encoder(asked, 7), [iter(events) for events in all_events]
    frames = [f for i in [*range(count), *turns] for f in encoder.feed(next(queues[i]), i)]
    replies = [fold(events).reply for events in all_events]
    assert gathered(frames) == laid_out(fmt.encode_replies(replies, asked, 7))


def test_each_of_several_prompts_counts_with_all_its_choices():
    asked = Asked(Request("m", ()), choices=4, prompts=("a", "bb"))
    prompts = [3, 3, 5, 5]
    replies = [
        replace(fold([Start("r", "m"), Finish("stop", Usage(n, 2, 1))]).reply) for n in prompts
    ]
    usage = openai_completions.FORMAT.encode_replies(replies, asked, 7)["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (8, 8)
    assert usage["prompt_tokens_details"] == {"cached_tokens": 2}
