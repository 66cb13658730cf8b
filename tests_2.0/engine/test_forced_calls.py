"""A forced call is a whole call, also where the marks are added tokens that are not special."""

from contextlib import suppress
from functools import partial

import orjson
import pytest
from jsonschema import validate
from llguidance import LLMatcher, LLTokenizer
from tiny_models import build, tokenizer
from tokenizers import AddedToken

from mlxk.chat.fold import fold, gather
from mlxk.chat.types import Message, Request, Sampling, Text, Tool, ToolChoice
from mlxk.contract.errors import InvalidValue
from mlxk.engine import forced
from mlxk.engine.answer import AnswerParser, Markup
from mlxk.engine.grammar import grammar
from mlxk.engine.model import EngineModel
from mlxk.engine.named import engine
from mlxk.engine.tokenizer import load_text
from mlxk.engine.toolcalls.dialects import DIALECTS
from mlxk.hub import builtin

WRITE = Tool(
    "Write",
    "Write a file.",
    {
        "type": "object",
        "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["path", "content"],
        "additionalProperties": False,
    },
)
READ = Tool("Read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "Write")])
async def test_the_embedded_model_is_held_to_a_call(home, choice):
    ask = Message("user", (Text("Create a file hello.txt containing Hello world"),))
    request = Request("builtin:tiny", (ask,), (READ, WRITE), choice, max_tokens=100)
    async with engine("builtin:tiny") as model:
        reply = (await gather(model.stream(request))).reply
    assert reply.reason == "tool_use"
    assert reply.message.tool_uses[0].name == "Write"
    assert reply.message.tool_uses[0].arguments == '{"path":"hello.txt","content":"Hello world"}'


async def test_a_forced_call_that_is_cut_leaves_no_marks_in_the_text(home):
    ask = Message("user", (Text("Create a file hello.txt containing Hello world"),))
    cut = partial(Request, "builtin:tiny", (ask,), (READ, WRITE), ToolChoice("required"))
    async with engine("builtin:tiny") as model:
        told = [await gather(model.stream(cut(max_tokens=n))) for n in (5, 15)]
    before, after = [one.reply for one in told]
    assert (before.reason, before.message.parts) == ("length", ())
    assert after.message.text == ""
    assert [use.name for use in after.message.tool_uses] == ["Write"]
    # Not when it was told: of the first, nothing was.
    assert all(one.finish.made_s > 0 for one in told)


FRAMED = {dialect.name: dialect for dialect in DIALECTS if dialect.frame}
SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "mode": {"enum": ["a", "w"]},
        "lines": {"type": "array", "items": {"type": "integer"}, "maxItems": 2},
        "sure": {"type": "boolean"},
    },
    "required": ["path", "mode", "lines"],
    "additionalProperties": False,
}
OPEN = Tool("Open", "", SCHEMA)
QUIET = Tool("Quiet", "", {"type": "object", "properties": {}, "additionalProperties": False})
WANTED = {"path": "a/<b>\n{ö}", "mode": "w", "lines": [1, 2]}


def written(frame, *arguments):
    """Calls as their family writes them."""
    calls = []
    for each in arguments:
        body = orjson.dumps(each).decode()
        if (pairs := frame.pairs) is not None:
            body = "".join(
                pairs.before + key + pairs.between
                + (value if isinstance(value, str) else orjson.dumps(value).decode())
                + pairs.after
                for key, value in each.items()
            )  # fmt: skip
        calls.append(frame.before + "Open" + frame.between + body + frame.after)
    return frame.first + (frame.joint or "").join(calls) + frame.last


def matcher(frame, tokens, added=()):
    grammar = LLMatcher.grammar_from_lark(forced.calls([QUIET, OPEN], frame, dict(added)))
    return LLMatcher(tokens, grammar)


def is_allowed(frame, text):
    made = matcher(frame, LLTokenizer("byte"))
    data = text.encode()
    return made.try_consume_tokens(list(data)) == len(data) and made.is_accepting()


@pytest.mark.parametrize("name", sorted(FRAMED))
def test_a_grammar_allows_what_its_reader_reads_and_nothing_less(name):
    dialect = FRAMED[name]
    text = written(dialect.frame, WANTED)
    assert is_allowed(dialect.frame, text)
    assert [orjson.loads(use.arguments) for use in uses(dialect, text)] == [WANTED]
    assert not is_allowed(dialect.frame, text.replace("Open", "Shut"))
    assert not is_allowed(dialect.frame, "Sure! " + text)
    assert not is_allowed(dialect.frame, written(dialect.frame, {"path": "a", "mode": "w"}))
    assert not is_allowed(dialect.frame, written(dialect.frame, {**WANTED, "mode": "x"}))
    assert not is_allowed(dialect.frame, text[:-1])


@pytest.mark.parametrize("name", sorted(FRAMED))
def test_wherever_a_forced_call_is_cut_there_is_no_text(name):
    dialect = FRAMED[name]
    text = written(dialect.frame, WANTED)
    for size in range(len(text)):
        parser = AnswerParser(Markup(None, dialect, only_calls=True), new_id=lambda kind: kind)
        folded = fold([*parser.feed(text[:size]), *parser.flush()])
        assert folded.message.text == ""


@pytest.mark.parametrize("name", sorted(FRAMED))
def test_several_calls_are_allowed_where_the_family_writes_them(name):
    dialect = FRAMED[name]
    text = written(dialect.frame, WANTED, {**WANTED, "sure": True})
    is_single = dialect.frame.joint is None
    assert is_allowed(dialect.frame, text) is not is_single
    if not is_single:
        assert [use.name for use in uses(dialect, text)] == ["Open", "Open"]


SHARED = {
    "type": "object",
    "properties": {"lines": {"$ref": "#/$defs/lines"}},
    "required": ["lines"],
    "additionalProperties": False,
    "$defs": {"lines": {"type": "array", "items": {"type": "integer"}}},
}


@pytest.mark.parametrize("name", sorted(FRAMED))
def test_a_schema_may_refer_to_its_own_definitions(name):
    frame = FRAMED[name].frame
    made = LLMatcher.grammar_from_lark(forced.calls([Tool("Open", "", SHARED)], frame, {}))
    assert not LLMatcher.validate_grammar(made)
    data = written(frame, {"lines": [1]}).encode()
    assert LLMatcher(LLTokenizer("byte"), made).try_consume_tokens(list(data)) == len(data)


@pytest.mark.parametrize("wanted", [5, None, {"enum": 5}, {"enum": {}}, {"type": 7}])
@pytest.mark.parametrize("name", ["hermes", "function_tags"])
def test_what_is_no_schema_is_followed_or_refused(name, wanted):
    marks, text = Markup(None, FRAMED[name]), load_text(builtin.folder("builtin:tiny"))
    tool = Tool("f", "", {"type": "object", "properties": {"a": wanted}})
    request = Request("m", (), (tool,), ToolChoice("required"))
    with suppress(InvalidValue):
        assert grammar(request, marks, text, is_thinking=False).text


def test_there_is_an_end_to_calls():
    """A small model may like to repeat itself better than to stop."""
    frame = FRAMED["hermes"].frame
    assert is_allowed(frame, written(frame, *[WANTED] * 32))
    assert not is_allowed(frame, written(frame, *[WANTED] * 33))


def uses(dialect, text):
    parser = AnswerParser(Markup(None, dialect), tools=(OPEN,), new_id=lambda kind: kind)
    return fold([*parser.feed(text), *parser.flush()]).message.tool_uses


@pytest.mark.parametrize("name", sorted(FRAMED))
def test_marks_that_are_tokens_are_written_as_those(name):
    frame = FRAMED[name].frame
    source = tokenizer()
    marks = ["[TOOL_CALLS]", "[ARGS]", "<tool_call>", "</tool_call>", "<arg_key>", "</arg_value>"]
    source.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in marks])
    added = {token.content: i for i, token in source.get_added_tokens_decoder().items()}
    made = matcher(frame, LLTokenizer(source.to_str()), added)
    ids = source.encode(written(frame, WANTED), add_special_tokens=False).ids
    assert made.try_consume_tokens(ids) == len(ids)
    assert made.is_accepting()


@pytest.mark.parametrize("name", ["function_tags", "mistral"])
async def test_a_random_model_is_held_to_its_dialect(home, tmp_path, name):
    template = "{{ messages[0].content }}" + "".join(f"{{# {c} #}}" for c in FRAMED[name].clues)
    folder = build(tmp_path / "m", "qwen3", template=template)
    schema = {key: SCHEMA["properties"][key] for key in ("mode", "lines", "sure")}
    tool = Tool("Open", "", {"type": "object", "properties": schema, "required": ["mode", "sure"],
                             "additionalProperties": False})  # fmt: skip
    ask = Message("user", (Text("Go"),))
    request = Request("m", (ask,), (tool,), ToolChoice("required"), max_tokens=400,
                      sampling=Sampling(temperature=1.5, seed=2))  # fmt: skip
    async with EngineModel(folder, "m", home=home) as model:
        (use, *_) = (await gather(model.stream(request))).message.tool_uses
    validate(orjson.loads(use.arguments), tool.parameters)
