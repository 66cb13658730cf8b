"""A random model says nothing but what its grammar allows; its neighbours do not notice."""

import asyncio

import orjson
import pytest
from jsonschema import validate
from tiny_models import build

from mlxk.chat.fold import gather
from mlxk.chat.types import (
    Message,
    Request,
    ResponseFormat,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolChoice,
)
from mlxk.contract.errors import InvalidValue
from mlxk.engine.matcher import Guide
from mlxk.engine.model import EngineModel

SCHEMA = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["good", "bad"]},
        "sure": {"type": "boolean"},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
    },
    "required": ["mood", "sure", "tags"],
    "additionalProperties": False,
}
TOOLS = (
    Tool("Weigh", "", {"properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}),
    Tool("Feel", "", SCHEMA),
)
BY_SCHEMA = ResponseFormat("json_schema", schema=SCHEMA)
WARM = Sampling(temperature=1.5, seed=4)


def ask(**fields):
    return Request("tiny", (Message("user", (Text("hello"),)),), max_tokens=300, **fields)


@pytest.fixture
async def model(tiny_model, home):
    async with EngineModel(tiny_model("qwen3-long"), "tiny", home=home) as opened:
        yield opened


async def said(model, request):
    return (await gather(model.stream(request))).message


@pytest.mark.parametrize("sampling", [Sampling(), WARM], ids=["greedy", "warm"])
async def test_an_answer_obeys_its_schema(model, sampling):
    answer = await said(model, ask(response_format=BY_SCHEMA, sampling=sampling))
    validate(orjson.loads(answer.text), SCHEMA)


@pytest.mark.parametrize("schema", [SCHEMA, SCHEMA | {"x-guidance": {}}], ids=["bare", "own rules"])
async def test_a_model_that_loves_blanks_comes_to_an_end(model, schema):
    """JSON allows white space without end between any two marks."""
    blanks = Sampling(logit_bias=tuple((id, 100.0) for id in await model.encode(" ")))
    wanted = ResponseFormat("json_schema", schema=schema)
    validate(
        orjson.loads((await said(model, ask(response_format=wanted, sampling=blanks))).text), SCHEMA
    )
    forced = ask(
        tools=(Tool("Feel", "", schema),), tool_choice=ToolChoice("required"), sampling=blanks
    )
    (use, *_) = (await said(model, forced)).tool_uses
    validate(orjson.loads(use.arguments), SCHEMA)


async def test_a_string_may_hold_as_many_blanks_as_it_likes(model):
    text = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    blanks = tuple((id, 100.0) for id in await model.encode(" "))
    wanted = ResponseFormat("json_schema", schema=text | {"additionalProperties": False})
    answer = await said(model, ask(response_format=wanted, sampling=Sampling(logit_bias=blanks)))
    assert answer.text.endswith(" " * 100)


async def test_an_answer_matches_its_pattern(model):
    answer = await said(model, ask(response_format=ResponseFormat("regex", pattern="[0-9]{3}-x")))
    assert answer.text[:3].isdigit()
    assert answer.text[3:] == "-x"


@pytest.mark.parametrize(
    ("choice", "names"),
    [(ToolChoice("required"), {"Weigh", "Feel"}), (ToolChoice("named", "Feel"), {"Feel"})],
    ids=["required", "named"],
)
async def test_a_forced_call_is_a_valid_one(model, choice, names):
    folded = await gather(model.stream(ask(tools=TOOLS, tool_choice=choice, sampling=WARM)))
    (use, *_) = folded.message.tool_uses
    assert use.name in names
    schema = next(tool.parameters for tool in TOOLS if tool.name == use.name)
    validate(orjson.loads(use.arguments), schema)


async def test_neighbours_of_a_ruled_answer_say_what_they_always_say(model):
    alone = await said(model, ask())
    together = await asyncio.gather(
        said(model, ask()), said(model, ask(response_format=BY_SCHEMA)), said(model, ask())
    )
    assert [together[0], together[2]] == [alone, alone]
    validate(orjson.loads(together[1].text), SCHEMA)


async def test_a_thought_comes_before_the_rule(home, tmp_path):
    template = "{{ messages[0].content }}<think>"
    folder = build(tmp_path / "thinker", "qwen3", template=template)
    biased = Sampling(logit_bias=((2, -100.0),))
    async with EngineModel(folder, "thinker", home=home) as model:
        folded = await gather(model.stream(ask(response_format=BY_SCHEMA, sampling=biased)))
    # Random weights never close their thought, so the rule never begins.
    assert all(isinstance(part, Thinking) for part in folded.message.parts)
    assert folded.finish.reason == "length"


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": ResponseFormat("json_schema", schema={"type": "nope"})},
        {"response_format": ResponseFormat("regex", pattern="a(")},
        {"tool_choice": ToolChoice("required")},
        {"tool_choice": ToolChoice("named", "Nobody"), "tools": TOOLS},
    ],
    ids=["schema", "pattern", "no tools", "unknown tool"],
)
async def test_what_cannot_be_followed_is_refused_before_the_answer(model, fields):
    with pytest.raises(InvalidValue):
        await said(model, ask(**fields))


class Recorder:
    """A matcher that allows everything and remembers what it was given."""

    def __init__(self):
        self.seen = []

    def consume_token(self, token):
        self.seen.append(token)

    def get_error(self):
        return ""


def test_a_guide_rules_only_after_its_signal():
    guide = Guide(recorder := Recorder(), after=(7, 8))
    ruled = []
    for token in (7, 7, 8, 5, 6):
        ruled.append(guide.rules)
        guide.consume(token)
    assert ruled == [False, False, False, True, True]
    assert recorder.seen == [5, 6]
