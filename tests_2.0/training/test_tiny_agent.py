"""The demo model's training text is what its shipped folder renders; no torch is needed."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from training.tiny_agent.closings import CUT
from training.tiny_agent.conversations import LABELS, Conversation, converse
from training.tiny_agent.render import RESULT_LIMIT, TEMPLATE, render, text_of
from training.tiny_agent.source import Source
from training.tiny_agent.tools import BY_NAME, TOOLS

FOLDER = Path(__file__).parents[2] / "mlxk" / "hub" / "builtin" / "tiny"
ODD = (
    'a\tb\n\n  c   d "q" \\n \\\\ ',
    "é日本🚀 don't 12345 _x-y.z",
    "C:\\temp\\new.txt",
    "ØÅ\u00a0\u200b\U0001f9ea\r\n",
    '{"a": [1, true, null]}',
    "   leading and trailing   ",
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from mlx_lm.tokenizer_utils import load

    return load(FOLDER)


def _some(count: int, seed: int) -> list[Conversation]:
    source = Source(seed)
    return [converse(source) for _ in range(count)]


def _templated(tokenizer: Any, messages: Any, tools: Any = (), **options: Any) -> str:
    schemas = [tool.schema() for tool in tools] or None
    return tokenizer.apply_chat_template(list(messages), tools=schemas, tokenize=False, **options)


def test_the_same_seed_gives_the_same_conversations() -> None:
    assert _some(50, seed=11) == _some(50, seed=11)
    assert _some(50, seed=11) != _some(50, seed=12)


def test_training_text_equals_the_template(tokenizer: Any) -> None:
    for conversation in _some(300, seed=21):
        wanted = text_of(render(conversation.messages, conversation.tools))
        assert _templated(tokenizer, conversation.messages, conversation.tools) == wanted


@pytest.mark.parametrize("label", LABELS)
def test_every_call_fits_its_tool(label: str) -> None:
    source = Source(31)
    for _ in range(20):
        for message in converse(source, label).messages:
            for call in message.get("tool_calls", ()):
                _check(call["function"])


def _check(function: dict[str, Any]) -> None:
    tool = BY_NAME[function["name"]]
    given = list(function["arguments"])
    assert given == [a.name for a in tool.arguments if a.name in given]
    assert {a.name for a in tool.arguments if not a.optional} <= set(given)


def test_the_shipped_template_is_the_one_in_training() -> None:
    assert (FOLDER / "chat_template.jinja").read_text() == TEMPLATE.read_text()


@pytest.mark.parametrize("text", ODD)
def test_the_tokenizer_gives_back_odd_text(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_mlx_lm_finds_the_tool_parser(tokenizer: Any) -> None:
    body = '{"name": "Ls", "arguments": {"path": "src"}}'
    assert tokenizer.tool_call_start == "<tool_call>"
    assert tokenizer.tool_parser(body, None) == json.loads(body)


def test_the_template_takes_other_spellings_of_messages(tokenizer: Any) -> None:
    call = {"id": "1", "type": "function"}
    arguments = {"path": "a.txt"}
    plain = [
        {"role": "system", "content": "One.\n\nTwo."},
        {"role": "user", "content": "read a.txt"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{**call, "function": {"name": "Read", "arguments": arguments}}],
        },
        {"role": "tool", "content": "x"},
    ]
    spelt = [
        {"role": "developer", "content": "One."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "read "}, {"type": "text", "text": "a.txt"}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {**call, "function": {"name": "Read", "arguments": json.dumps(arguments)}}
            ],
        },
        {"role": "system", "content": "Two."},
        {"role": "tool", "tool_call_id": "1", "name": "Read", "content": "x"},
    ]
    wanted = _templated(tokenizer, plain, TOOLS, add_generation_prompt=True)
    options = {"add_generation_prompt": True, "enable_thinking": False}
    assert _templated(tokenizer, spelt, TOOLS, **options) == wanted


def test_the_template_bounds_a_prompt(tokenizer: Any) -> None:
    messages = [{"role": "system", "content": "rules " * 5000}]
    for i in range(40):
        messages += [
            {"role": "user", "content": f"read {i}.txt"},
            {"role": "tool", "content": "line " * 5000},
            {"role": "assistant", "content": "done"},
        ]
    prompt = _templated(tokenizer, messages, TOOLS)
    assert f"{CUT}\n</tool_response>" in prompt
    assert prompt.count("line ") < RESULT_LIMIT
    assert len(tokenizer.encode(prompt)) < 4096
