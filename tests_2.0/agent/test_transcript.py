"""A conversation comes back from its lines exactly as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.agent.transcript import from_lines, repaired, to_lines
from mlxk.chat.types import Image, Message, Text, Thinking, ToolResult, ToolUse
from mlxk.contract.errors import HistoryCorrupt

ANY = st.text(alphabet=st.characters(exclude_categories=[]))
PARTS = st.one_of(
    st.builds(Text, ANY),
    st.builds(Thinking, ANY, st.none() | ANY),
    st.builds(Image, st.none() | ANY, st.none() | ANY, st.none() | ANY),
    st.builds(ToolUse, ANY, ANY, ANY),
    st.builds(ToolResult, ANY, ANY, st.booleans(), st.none() | ANY),
)
MESSAGES = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.lists(PARTS, max_size=4).map(tuple),
)


@given(st.lists(MESSAGES, max_size=4).map(tuple))
def test_any_conversation_round_trips(messages):
    assert from_lines(to_lines(messages)) == messages


def test_a_call_without_result_is_answered_before_the_model_sees_it():
    asked = Message("assistant", (ToolUse("a", "Bash", "{}"), ToolUse("b", "Ls", "{}")))
    half = Message("tool", (ToolResult("a", "ok"),))
    (repair,) = repaired((asked, half))
    assert [(p.tool_use_id, p.is_error) for p in repair.parts] == [("b", True)]
    assert repaired((asked, half, repair)) == ()


BROKEN = ["{", "[]", '{"role":"user"}', '{"role":"user","parts":[{"type":"x"}]}']


@pytest.mark.parametrize("line", BROKEN)
def test_a_damaged_line_is_named(line):
    with pytest.raises(HistoryCorrupt, match="line 2"):
        from_lines(b'{"role":"user","parts":[]}\n' + line.encode() + b"\n")


def test_ids_that_start_again_each_turn_are_told_apart():
    asked = Message("assistant", (ToolUse("call_0", "Ls", "{}"),))
    done = Message("tool", (ToolResult("call_0", "ok"),))
    assert len(repaired((asked, done, asked))) == 1
    assert repaired((asked, done, asked, done)) == ()
