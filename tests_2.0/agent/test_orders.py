"""Checks, structured results, permissions, compaction and configuration of a job."""

from dataclasses import replace
from datetime import UTC, datetime

import checkout
import pytest

from mlxk.agent import transcript
from mlxk.agent.compact import compacted
from mlxk.agent.config import load
from mlxk.agent.job import Bounds, Job, Order
from mlxk.agent.limits import Budgets
from mlxk.agent.permissions import Added, Permissions, rule
from mlxk.agent.scribe import Scribe
from mlxk.agent.settings import Settings, from_meta, to_meta
from mlxk.chat.scripted import Scripted, call
from mlxk.chat.types import Message, Text, ToolResult
from mlxk.contract.errors import ContextLengthExceeded, InvalidDocument, InvalidValue, NotFound
from mlxk.history.session import Session
from mlxk.history.store import Store

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = Settings("scripted")
WRITE = call("Write", '{"path": "n.txt", "content": "hi"}')
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture
def session(home, tmp_path):
    repo = checkout.make(tmp_path / "repo")
    with (
        Store.open(repo, home / ".mlxk") as store,
        Session.create(store, to_meta(SETTINGS), name="work", when=NOON) as session,
    ):
        yield session


@pytest.fixture
def run(session):
    async def go(*turns, settings=SETTINGS, bounds=None, heard=None, **order):
        go.model = Scripted(*turns)
        listener = heard.append if heard is not None else lambda _: None
        with Scribe(session.record.store) as scribe:
            job = Job(session, scribe, go.model, settings, bounds=bounds, now=lambda: NOON)
            return await job.run(Order("do it", **order), listener)

    return go


async def test_a_check_that_passes_ends_the_run(run):
    ended = await run(WRITE, "Done.", check="test -f n.txt")
    assert ended.error is None
    assert (ended.report.check.passed, ended.report.check.attempts) == (True, 1)


async def test_a_failing_check_goes_back_to_the_model(run):
    ended = await run("Done.", WRITE, "Now.", check="cat n.txt")
    assert (ended.error, ended.report.check.attempts) == (None, 2)
    complaint = run.model.requests[1].messages[-1].text
    assert complaint.startswith("The check `cat n.txt` failed with exit code 1:\ncat: n.txt")


async def test_a_check_that_says_the_same_five_times_ends_the_run(run):
    ended = await run(WRITE, "Done.", WRITE, "Again.", WRITE, "Again.", check="false")
    assert (ended.error.type, ended.report.check.attempts) == ("check_failed", 5)


@pytest.mark.parametrize("budgets", [Budgets(turns=2), Budgets()], ids=["budget", "same again"])
async def test_a_check_that_never_passes_is_exit_3(run, budgets):
    ended = await run("Done.", check="false", bounds=Bounds(budgets))
    assert (ended.error.type, ended.error.exit_code) == ("check_failed", 3)
    assert not ended.report.check.passed


async def test_a_result_obeys_its_schema(run):
    ended = await run("Done.", '{"n": "one"}', "not json", '{"n": 1}', schema=SCHEMA)
    assert (ended.error, ended.report.output) == (None, {"n": 1})
    asked = run.model.requests[-1]
    assert (asked.response_format.schema, asked.tools) == (SCHEMA, ())


async def test_a_result_that_never_obeys_is_exit_3(run):
    ended = await run("Done.", '{"n": "one"}', schema=SCHEMA)
    assert (ended.error.type, ended.error.exit_code) == ("schema_mismatch", 3)
    assert ended.report.output is None


@pytest.mark.parametrize(
    ("permissions", "turn", "allowed"),
    [
        (Permissions("read"), WRITE, False),
        (Permissions("read"), call("Ls", "{}"), True),
        (Permissions("read", allow=("Write(n.*)",)), WRITE, True),
        (Permissions("ask"), WRITE, False),
        (Permissions(deny=("Write",)), WRITE, False),
        (Permissions(deny=("Read(a.txt)",)), call("Read", '{"path": "./a.txt"}'), False),
        (
            Permissions("ask", allow=("Write(docs/*)",)),
            call("Write", '{"path": "docs/../a.txt", "content": ""}'),
            False,
        ),
        (Permissions(allow=("Write",), deny=("Write(*.txt)",)), WRITE, False),
        (Permissions("read", allow=("Bash(echo *)",)), call("Bash", '{"command":"echo a"}'), True),
        (
            Permissions("read", allow=("Bash(echo *)",)),
            call("Bash", '{"command":"echo a; touch b"}'),
            False,
        ),
        (
            Permissions(deny=("Bash(touch *)",)),
            call("Bash", '{"command":"echo a && touch b"}'),
            False,
        ),
    ],
)
async def test_permissions_decide_about_each_call(run, permissions, turn, allowed):
    ended = await run(turn, "Done.", settings=replace(SETTINGS, permissions=permissions))
    assert ended.report.tool_calls[0].ok == allowed
    assert (ended.error is None) == allowed


@pytest.mark.parametrize(
    ("deny", "use", "says"),
    [
        ("Grep(keys/*)", call("Grep", '{"pattern": "word"}'), "notes.txt:1:word\n"),
        ("Read(keys/*)", call("Grep", '{"pattern": "word"}'), "notes.txt:1:word\n"),
        ("Read(*.txt)", call("Grep", '{"pattern": "word", "path": "keys/a.txt"}'), "No matches."),
        ("Find(keys/*)", call("Find", '{"pattern": "*.txt"}'), "a.txt\nnotes.txt"),
        ("Read(keys/a*)", call("Ls", '{"path": "keys"}'), "b.txt"),
        ("Read(keys/*)", call("Lsp", '{"action": "diagnostics", "path": "keys/a.txt"}'), None),
    ],
    ids=["Grep", "Read hides from Grep", "the file itself", "Find", "Ls", "Lsp"],
)
async def test_a_rule_judges_each_file_that_a_search_finds(run, session, deny, use, says):
    for name in ("notes.txt", "keys/a.txt", "keys/b.txt"):
        (session.worktree / name).parent.mkdir(exist_ok=True)
        (session.worktree / name).write_text("word\n")
    rules = Permissions(deny=(deny,))
    tools = ("Grep", "Find", "Ls", "Lsp")
    await run(use, "Done.", settings=replace(SETTINGS, permissions=rules, tools=tools))
    result = run.model.requests[1].messages[-1].parts[0].text
    assert result == (says or "Error: keys/a.txt may not be read")


async def test_a_question_and_its_answer_are_events(run):
    async def yes(asked):
        return asked.about == "n.txt"

    heard = []
    asking = replace(SETTINGS, permissions=Permissions("ask"))
    ended = await run(WRITE, "Done.", settings=asking, bounds=Bounds(answer=yes), heard=heard)
    assert ended.error is None
    assert [e.data.allowed for e in heard if e.type == "permission.answered"] == [True]


async def test_budgets_are_told_at_50_80_and_100_percent(run):
    heard = []
    await run(WRITE, "Done.", bounds=Bounds(Budgets(turns=2)), heard=heard)
    told = [(e.data.name, e.data.percent) for e in heard if e.type == "budget"]
    assert told == [("turns", 50), ("turns", 100)]


async def test_tool_calls_have_a_budget(run):
    ended = await run(WRITE, WRITE, "Done.", bounds=Bounds(Budgets(tool_calls=1)))
    assert ended.error.details["budget"] == "tool_calls"
    assert ended.error.hint == "go on with --resume and a larger --max-tool-calls"


async def test_a_conversation_that_is_too_long_is_compacted_not_lost(run, session):
    heard = []
    (session.worktree / "long.txt").write_text("word " * 4000)
    too_long = ContextLengthExceeded("too long")
    read = call("Read", '{"path": "long.txt"}')
    ended = await run(read, WRITE, WRITE, too_long, "Done.", heard=heard)
    assert ended.error is None
    assert [e.data.dropped_characters > 10_000 for e in heard if e.type == "compacted"] == [True]
    assert len(session.record.lines()) > 20_000


def test_the_last_level_keeps_the_first_request_and_valid_calls():
    ask = Message("user", (Text("do it"),))
    rounds = [
        m
        for n in range(5)
        for m in (
            Message("assistant", (call("Ls", "{}", str(n)),)),
            Message("tool", (ToolResult(str(n), "x" * 1000),)),
        )
    ]
    short = compacted([ask, *rounds], 3)
    assert short[0].text.startswith("do it\n\n[What followed, in short:\ncalled Ls {}\n")
    assert len(short) == 5
    assert not transcript.repaired(short)


def test_settings_come_back_from_their_meta():
    rules = Permissions("ask", ("Bash(git *)",), ("Write",))
    settings = Settings("m", "openai", "http://x", "be brief", ("Read",), 0.5, 7, True, rules)
    assert from_meta(to_meta(settings)) == settings


def test_rules_that_are_added_never_open_what_is_closed():
    kept = replace(SETTINGS, permissions=Permissions("read", (), ("Read(secret*)",)))
    more = kept.overridden({"permissions": Added(None, ("Write(notes*)",), ())})
    assert more.permissions == Permissions("read", ("Write(notes*)",), ("Read(secret*)",))
    assert kept.overridden({"permissions": Added("ask")}).permissions.mode == "ask"


CONFIG = """
model: some/model
tools: [read, Write]
permissions: {mode: ask, deny: ["Bash(rm *)"]}
limits: {turns: 5, tool_seconds: 2.5}
check: pytest -q
"""


def test_a_configuration_is_found_by_name_and_read(tmp_path):
    (tmp_path / "reviewer.yaml").write_text(CONFIG)
    config = load("reviewer", (tmp_path / "none", tmp_path))
    assert config.given["tools"] == ("Read", "Write")
    assert config.given["permissions"] == Permissions("ask", (), ("Bash(rm *)",))
    assert (config.budgets.turns, config.limits.timeout_s, config.check) == (5, 2.5, "pytest -q")


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("{", InvalidDocument, "is not YAML"),
        ("model: 3", InvalidDocument, "/model"),
        ("limits: {turns: 0}", InvalidDocument, "/limits/turns"),
        ("colour: red", InvalidDocument, "colour"),
        ("tools: [Delete]", InvalidValue, "Delete"),
        ("permissions: {allow: ['Bash(']}", InvalidValue, "not a rule"),
        (None, NotFound, "no agent configuration"),
    ],
)
def test_a_bad_configuration_is_named(tmp_path, text, error, says):
    if text is not None:
        (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(error, match=says):
        load("bad", (tmp_path,))


@pytest.mark.parametrize("text", ["", "Bash(", "rm -rf", "(x)"])
def test_a_bad_rule_is_refused(text):
    with pytest.raises(InvalidValue):
        rule(text)
