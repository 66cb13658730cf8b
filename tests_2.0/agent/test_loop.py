"""Runs end truthfully, keep what was done, and leave a history that a model accepts."""

import asyncio
from datetime import UTC, datetime

import checkout
import pytest

from mlxk.agent import transcript
from mlxk.agent.job import Bounds, Job, Order
from mlxk.agent.limits import Budgets
from mlxk.agent.scribe import Scribe
from mlxk.agent.settings import Settings, to_meta
from mlxk.chat.scripted import Scripted, call
from mlxk.chat.types import ToolResult
from mlxk.contract.errors import ProviderError
from mlxk.history.session import Session
from mlxk.history.store import Store

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WRITE = call("Write", '{"path": "n.txt", "content": "hi"}')


@pytest.fixture
def session(home, tmp_path):
    repo = checkout.make(tmp_path / "repo")
    settings = Settings("scripted", tools=("Read", "Write", "Ls"))
    with (
        Store.open(repo, home / ".mlxk") as store,
        Session.create(store, to_meta(settings), name="work", when=NOON) as session,
    ):
        yield session


@pytest.fixture
def run(session):
    async def go(*turns, budgets=None, model=None, heard=None):
        scripted = model or Scripted(*turns)
        settings = Settings("scripted", tools=("Read", "Write", "Ls"))
        bounds = Bounds(budgets or Budgets())
        listener = heard.append if heard is not None else lambda _: None
        with Scribe(session.record.store) as scribe:
            agent = Job(session, scribe, scripted, settings, bounds=bounds, now=lambda: NOON)
            ended = await agent.run(Order("do it"), listener)
        go.requests = scripted.requests
        return ended

    return go


def history(session):
    return transcript.from_lines(session.record.lines())


async def test_a_run_ends_when_the_model_makes_no_call(run, session):
    ended = await run(WRITE, "Done.")
    assert (ended.error, ended.report.result, ended.report.turns) == (None, "Done.", 2)
    assert [c.files for c in ended.report.commits] == [("n.txt",)]
    assert [m.role for m in history(session)] == ["user", "assistant", "tool", "assistant"]


async def test_the_model_sees_system_prompt_tools_and_results(run):
    await run(WRITE, "Done.")
    first, second = run.requests
    assert first.messages[0].text.startswith("You are mlxk")
    assert [tool.name for tool in first.tools] == ["Read", "Write", "Ls"]
    assert second.messages[-1].parts[0].text == "Created n.txt (1 line, 2 bytes)"


@pytest.mark.parametrize(
    ("turns", "error", "reason"),
    [
        ([""], "empty_answer", "empty_answer"),
        ([ProviderError("cut")], "provider_error", "error"),
        ([WRITE, ProviderError("cut")], "provider_error", "error"),
        ([call("Ls", "{}")], "loop_detected", "loop_detected"),
        ([call("Read", '{"path": "../x"}'), "Sorry."], "tool_denied", "tool_denied"),
        ([call("Bash", '{"command": "ls"}'), "Sorry."], "tool_denied", "tool_denied"),
    ],
    ids=["empty", "provider fails", "fails later", "repeats itself", "leaves the tree", "no tool"],
)
async def test_a_bad_end_is_named_and_its_history_is_valid(run, session, turns, error, reason):
    ended = await run(*turns)
    assert (ended.error.type, ended.report.stop_reason) == (error, reason)
    assert not transcript.repaired(history(session))
    again = await run("Better.")
    assert again.error is None


async def test_a_call_that_is_denied_and_then_done_well_is_a_success(run):
    ended = await run(call("Read", '{"path": "/etc/passwd"}'), WRITE, "Done.")
    assert ended.error is None
    assert [d.tool for d in ended.report.denials] == ["Read"]


async def test_invalid_arguments_are_a_result_not_an_end(run):
    ended = await run(call("Write", '{"path": '), WRITE, "Done.")
    assert ended.error is None
    assert [c.ok for c in ended.report.tool_calls] == [False, True]


@pytest.mark.parametrize(
    ("written", "sent"),
    [('{"path": ', '{"arguments":"{\\"path\\": "}'), ("[]", '{"arguments":"[]"}'), ("", "{}")],
)
async def test_what_was_no_json_is_kept_but_not_sent(run, session, written, sent):
    """Servers parse the arguments of earlier calls, and fail when they cannot."""
    await run(call("Ls", written), "Done.")
    assert run.requests[1].messages[2].tool_uses[0].arguments == sent
    assert history(session)[1].tool_uses[0].arguments == written


@pytest.mark.parametrize(
    ("budgets", "name"),
    [(Budgets(turns=1), "turns"), (Budgets(tokens=1), "tokens"), (Budgets(seconds=0.2), "seconds")],
)
async def test_a_budget_ends_the_run_with_the_work_kept(run, session, budgets, name):
    model = Scripted(WRITE, "Done.", delay_s=0.05 if name == "seconds" else 0)
    ended = await run(model=model, budgets=budgets)
    assert (ended.error.type, ended.error.details["budget"]) == ("limit_reached", name)
    assert not transcript.repaired(history(session))
    assert model.open_streams == 0


async def test_cancelling_keeps_what_was_said_and_done(run, session):
    model = Scripted(WRITE, "one two three", delay_s=0.05)
    task = asyncio.create_task(run(model=model))
    while len(model.requests) < 2:
        await asyncio.sleep(0.01)
    task.cancel()
    ended = await task
    assert ended.error.type == "interrupted"
    assert ended.report.commits[-1].files == ("n.txt",)
    assert model.open_streams == 0
    assert not transcript.repaired(history(session))


async def test_events_are_numbered_and_end_with_the_run(run):
    heard = []
    await run(WRITE, "Done.", heard=heard)
    assert [e.seq for e in heard] == list(range(1, len(heard) + 1))
    assert heard[-1].data.stop_reason == "finished"
    assert [e.turn for e in heard if e.type == "turn.started"] == [1, 2]


async def test_what_looks_like_a_key_does_not_reach_the_history(run, session):
    key = "-".join(("sk", "ant", "api03", "Ab1" * 12))
    (session.worktree / "env").write_text(f"KEY={key}\n")
    await run(call("Read", '{"path": "env"}'), "Done.")
    assert key.encode() not in session.record.lines()
    results = [p for m in history(session) for p in m.parts if isinstance(p, ToolResult)]
    assert results[0].text == "KEY=[redacted]\n"
