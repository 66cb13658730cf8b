"""Whatever a model, its provider or a command does, the run ends in time and in order."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import checkout
import pytest
from aiohttp import web

from mlxk.agent import transcript
from mlxk.agent.command import run_command
from mlxk.agent.confine import confinement
from mlxk.agent.job import Bounds, Job, Order
from mlxk.agent.limits import Budgets
from mlxk.agent.scribe import Scribe
from mlxk.agent.settings import Settings, to_meta
from mlxk.agent.tools.base import Limits
from mlxk.chat.scripted import Scripted, call
from mlxk.history.session import Session
from mlxk.history.store import Store
from mlxk.providers.client import Patience, RemoteModel
from mlxk.providers.endpoints import endpoint

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = Settings("scripted", tools=("Read", "Write", "Bash", "Ls"))
TEXT = b'data: {"id":"r","model":"m","choices":[{"index":0,"delta":{"content":"Half a"}}]}\n\n'
CALL = (
    b'data: {"id":"r","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,'
    b'"id":"c1","function":{"name":"Write","arguments":"{\\"path\\": \\"n"}}]}}]}\n\n'
)


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
    async def go(model, bounds=None, heard=None):
        bounds = bounds or Bounds()
        with Scribe(session.record.store) as scribe:
            job = Job(session, scribe, model, SETTINGS, bounds=bounds, now=lambda: NOON)
            return await job.run(Order("do it"), heard.append if heard is not None else id)

    return go


def is_valid(session):
    return not transcript.repaired(transcript.from_lines(session.record.lines()))


@pytest.fixture
async def provider():
    """A model behind an API that answers each request with the next of these bodies."""
    opened = []

    async def start(*replies):
        asked = []

        async def answer(request):
            asked.append(await request.json())
            status, body = replies[min(len(asked), len(replies)) - 1]
            return web.Response(status=status, body=body, content_type="text/event-stream")

        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        place = endpoint("openai", f"http://127.0.0.1:{runner.addresses[0][1]}", {})
        model = RemoteModel(place, patience=Patience(tries=3, first_pause_s=0.01))
        await model.__aenter__()
        opened.append((runner, model))
        model.asked = asked
        return model

    yield start
    for runner, model in opened:
        await model.__aexit__(None, None, None)
        await runner.cleanup()


async def test_a_provider_that_fails_is_asked_three_times(run, session, provider):
    model, heard = await provider((500, b"broken")), []
    ended = await run(model, heard=heard)
    assert (ended.error.type, ended.report.stop_reason) == ("provider_error", "error")
    assert (len(model.asked), [e.type for e in heard].count("retry")) == (3, 2)
    assert is_valid(session)


@pytest.mark.parametrize(("cut", "kept"), [(TEXT, ["Half a"]), (CALL, [])], ids=["text", "call"])
async def test_a_cut_answer_leaves_a_valid_history(run, session, provider, cut, kept):
    model = await provider((200, cut))
    ended = await run(model)
    assert ended.error.type == "provider_error"
    messages = transcript.from_lines(session.record.lines())
    assert [m.text for m in messages if m.role == "assistant"] == kept
    assert is_valid(session)
    assert (await run(Scripted("Better."))).error is None


async def test_a_command_that_ignores_signals_ends_within_a_second(run, session):
    nap = f"sleep {40000 + os.getpid() % 10000}"
    stubborn = call("Bash", f'{{"command": "trap \'\' TERM INT; touch made; {nap}; {nap}"}}')
    heard = []
    task = asyncio.create_task(run(Scripted(stubborn), heard=heard))
    while not (session.worktree / "made").exists():
        await asyncio.sleep(0.02)
    began = time.monotonic()
    task.cancel()
    ended = await task
    assert time.monotonic() - began < 5
    assert ended.error.type == "interrupted"
    assert ended.report.commits[-1].files == ("made",)
    assert subprocess.run(["pgrep", "-f", f"^{nap}$"], check=False).returncode == 1
    assert is_valid(session)


def test_a_confined_command_does_not_begin_when_nobody_is_there_any_more(home, tmp_path):
    inside = confinement(tmp_path)
    if not inside.is_gated:
        pytest.skip("nothing here ends with its parent")
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        done = subprocess.run(inside.shell("touch made"), stdin=theirs, check=False)
    assert done.returncode
    assert not (tmp_path / "made").exists()


KILLED = """
import asyncio, sys
from pathlib import Path
from mlxk.agent.command import run_command
from mlxk.agent.confine import confinement
from mlxk.agent.confine import confinement
root = Path.cwd()
inside = confinement(root)
argv = inside.shell(sys.argv[1])
print(inside.is_gated, flush=True)
asyncio.run(run_command(argv, cwd=root, timeout_s=None, keep_bytes=1, gated=inside.is_gated))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_while_it_begins_a_command_it_leaves_none(home, tmp_path):
    chance, begun = random.Random(), 0
    for number in range(50):
        nap = f"sleep {50_000 + os.getpid() % 10_000}.{number}"
        argv = [sys.executable, "-c", KILLED, f"touch made; exec {nap}"]
        with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE) as victim:
            if victim.stdout.readline() != b"True\n":
                pytest.skip("nothing here ends with its parent")
            time.sleep(chance.random() * 0.06)
            victim.kill()
        made = tmp_path / "made"
        begun += made.exists()
        made.unlink(missing_ok=True)
        left = ["pgrep", "-f", f"^{nap}$"]
        time.sleep(0.3)
        assert subprocess.run(left, check=False, capture_output=True).stdout == b""
    assert begun < 50


async def test_a_command_that_cannot_begin_leaves_no_open_pipe(tmp_path):
    async def fail():
        with pytest.raises(FileNotFoundError):
            await run_command(["true"], cwd=tmp_path / "gone", timeout_s=1, keep_bytes=1)
        await asyncio.sleep(0)

    await fail()
    before = len([*Path("/dev/fd").iterdir()])
    await fail()
    assert len([*Path("/dev/fd").iterdir()]) == before


async def test_the_time_of_a_run_ends_a_command(run, session):
    bounds = Bounds(Budgets(seconds=0.6))
    ended = await run(Scripted(call("Bash", '{"command": "echo a > a; sleep 500"}')), bounds)
    assert ended.error.details["budget"] == "seconds"
    assert ended.report.duration_s < 20
    assert ended.report.commits[-1].files == ("a",)
    assert is_valid(session)


async def test_a_flood_of_output_is_cut_as_it_comes(run, session):
    heard = []
    bounds = Bounds(limits=Limits(timeout_s=0.7, output_bytes=10_000))
    await run(Scripted(call("Bash", '{"command": "yes"}'), "Done."), bounds, heard)
    told = sum(len(e.data.text) for e in heard if e.type == "tool.output")
    (finished,) = [e.data for e in heard if e.type == "tool.finished"]
    assert told <= 10_000
    assert (len(finished.text) < 11_000, finished.ok) == (True, False)


async def test_a_tool_that_is_not_there_and_words_that_are_no_json_do_not_end_a_run(run, session):
    ended = await run(
        Scripted(call("Delete", "{}"), call("Write", '{"path'), call("Ls", "{}"), "Done.")
    )
    assert (ended.error, ended.report.result) == (None, "Done.")
    assert [c.ok for c in ended.report.tool_calls] == [False, False, True]
    assert is_valid(session)
