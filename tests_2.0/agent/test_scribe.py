"""Git work goes on beside the event loop, is never cut off in the middle, and stays in order."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import checkout
import desks
import orjson
import pytest
import waiting

from mlxk.agent import Agent
from mlxk.agent.compose import Model
from mlxk.agent.desk import Desk
from mlxk.agent.job import Job, Order
from mlxk.agent.scribe import Scribe
from mlxk.agent.settings import Settings, to_meta
from mlxk.chat.scripted import Scripted, call
from mlxk.contract.errors import ModelNotFound, ProviderError
from mlxk.contract.notes import collecting, note
from mlxk.history.session import Session

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = Settings("scripted", tools=("Bash",))
MANY = "mkdir many; cd many; seq {} | split -l 1 -a 4 -"  # so many files of one line each
WRITE = call("Write", '{"path": "n.txt", "content": "hi"}')


def many(count):
    return call("Bash", orjson.dumps({"command": MANY.format(count)}).decode())


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo")


@pytest.fixture
def scribe(repo, home):
    from mlxk.history.store import Store

    with Store.open(repo, home / ".mlxk") as store, Scribe(store) as scribe:
        yield scribe


def begin(store):
    return Session.create(store, to_meta(SETTINGS), name="work", when=NOON)


def refs(repo):
    return checkout.git(repo, "for-each-ref", "refs/mlxk", "refs/heads/mlxk")


@asynccontextmanager
async def pulse():
    """The longest time that the loop did not come round, in a list that is filled as it goes."""
    longest = [0.0]

    async def beat():
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            longest[0] = max(longest[0], time.monotonic() - before)

    task = asyncio.create_task(beat())
    yield longest
    task.cancel()


async def test_the_loop_goes_on_while_a_step_looks_at_many_files(scribe):
    heard, took = {}, []

    def listen(event):
        heard[event.type] = time.monotonic()
        if event.type == "step.committed":
            took.append(time.monotonic() - heard["tool.finished"])

    async with scribe.holding(begin) as session, pulse() as longest:
        job = Job(session, scribe, Scripted(many(12_000), "Done."), SETTINGS)
        ended = await job.run(Order("make many files"), listen)
    assert len(ended.report.commits[0].files) == 12_000
    assert took[0] > 0.2
    assert longest[0] < took[0] / 2


async def test_a_step_that_has_begun_is_finished_and_told(scribe, repo):
    heard, finished = [], asyncio.Event()

    def listen(event):
        heard.append(event.type)
        if event.type == "tool.finished":
            finished.set()

    async with scribe.holding(begin) as session:
        job = Job(session, scribe, Scripted(many(5_000), "Done."), SETTINGS)
        task = asyncio.create_task(job.run(Order("make many files"), listen))
        await finished.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        ended = await task
    assert ended.error.type == "interrupted"
    assert len(ended.report.commits[-1].files) == 5_000
    assert heard.index("step.committed") < heard.index("run.finished")
    assert checkout.git(repo, "rev-parse", "mlxk/work") == ended.report.head
    assert checkout.git(repo, "ls-tree", "-r", "--name-only", "mlxk/work").count("many/") == 5_000


async def test_a_cancellation_waits_for_the_end_and_is_not_lost(scribe):
    done = []

    async def work():
        await scribe.do(lambda _: (time.sleep(0.3), done.append(1)))
        done.append("never")

    task = asyncio.create_task(work())
    for _ in range(3):
        await asyncio.sleep(0.05)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [1]


async def test_a_time_limit_stays_a_time_limit(scribe):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await scribe.do(lambda _: time.sleep(0.2))


async def test_work_is_done_in_order_and_in_one_thread(scribe):
    done = []

    def work(number):
        return lambda _: done.append((number, threading.get_ident()))

    await asyncio.gather(*(scribe.do(work(n)) for n in range(20)))
    assert [number for number, _ in done] == list(range(20))
    assert {thread for _, thread in done}.isdisjoint({threading.get_ident()})
    assert len({thread for _, thread in done}) == 1


async def test_what_the_thread_notes_is_heard_outside(scribe):
    with collecting() as notes:
        await scribe.do(lambda _: note("odd", "something is odd"))
        with pytest.raises(ZeroDivisionError):
            await scribe.do(lambda _: (note("worse", "and worse"), 1 / 0))
    assert [n.code for n in notes] == ["odd", "worse"]


async def test_a_session_that_is_cancelled_while_it_is_made_is_taken_back(scribe, repo, home):
    def slow(store):
        made = begin(store)
        time.sleep(0.2)
        return made

    async def hold():
        async with scribe.holding(slow):
            raise AssertionError

    task = asyncio.create_task(hold())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert refs(repo) == ""
    assert not [*home.glob(".mlxk/worktrees/*/*")]
    async with scribe.holding(begin) as session:  # its name and its lock are free
        assert session.name == "work"


async def test_a_session_with_work_in_it_survives_an_error(scribe, repo):
    async def fail():
        async with scribe.holding(begin) as session:
            await scribe.do(lambda _: session.append(b"{}\n", when=NOON))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert "refs/heads/mlxk/work" in refs(repo)


async def test_a_tab_makes_its_session_while_its_model_opens(home, repo):
    may_open = asyncio.Event()

    @asynccontextmanager
    async def opener(_):
        await may_open.wait()
        yield Model(Scripted("Hi."))

    async with Desk(repo, Settings("s"), opener=opener, home=home / ".mlxk") as desk:
        tab = desk.new()
        tab.submit("greet")
        await waiting.happens(lambda: tab.session is not None)
        may_open.set()
        await tab.wait()
        assert tab.state == "idle"


async def test_nothing_remains_of_a_tab_whose_model_never_opened(home, repo):
    @asynccontextmanager
    async def opener(settings):
        raise ModelNotFound(f"no model {settings.model}")
        yield

    async with Desk(repo, Settings("gone"), opener=opener, home=home / ".mlxk") as desk:
        tab = desk.new()
        tab.submit("greet")
        await tab.wait()
        assert tab.state == "failed"
    assert refs(repo) == ""


async def test_a_prompt_after_an_early_abort_makes_no_second_session(home, repo):
    async with desks.scripted(repo, home, "Hi.") as desk:
        tab = desk.new()
        tab.submit("greet")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await tab.abort()
        tab.submit("again")
        await tab.wait()
        assert len(await desk.branches()) == 1


async def test_branches_of_an_agent_are_made_by_their_first_run(repo):
    async with Agent(model=Scripted("Hm.", WRITE, "Done."), folder=repo) as agent:
        first = await agent.run("think")
        other = agent.branch("other")
        assert "mlxk/other" not in refs(repo)
        await agent.run("write")
        report = await other.run("go on")  # from where it was branched off
    assert (report.branch, report.head) == ("mlxk/other", first.head)


async def test_an_agent_whose_model_fails_at_once_keeps_what_was_asked(repo):
    with pytest.raises(ProviderError) as caught:
        await Agent(model=Scripted(ProviderError("no")), folder=repo).run("think")
    assert f"refs/heads/{caught.value.data.branch}" in refs(repo)


def start(repo, ask):
    return subprocess.Popen(
        [sys.executable, "-m", "mlxk", "agent", "--events", ask, "--branch", "work"],
        cwd=repo,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def interrupted(child):
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, b"Traceback" in err) == (130, False)
    return orjson.loads(out.splitlines()[-1])


def test_ctrl_c_while_a_step_is_taken_keeps_the_work(repo):
    with start(repo, f"run `{MANY.format(3_000)}`") as child:
        for line in child.stdout:
            if orjson.loads(line)["type"] == "tool.finished":
                break
        value = interrupted(child)
    assert value["error"]["type"] == "interrupted"
    assert len(value["data"]["commits"][-1]["files"]) == 3_000
    assert checkout.git(repo, "fsck", "--strict", "--no-dangling") == ""


def test_ctrl_c_while_the_worktree_is_made_leaves_nothing(repo, home):
    subprocess.run(["sh", "-c", MANY.format(6_000)], cwd=repo, check=True)
    before = checkout.fingerprint(repo)
    with start(repo, "hello") as child:
        waiting.until(lambda: any(home.glob(".mlxk/worktrees/*/*.building")))
        value = interrupted(child)
    assert (value["error"]["type"], value["data"]) == ("interrupted", None)
    assert refs(repo) == ""
    assert not [*home.glob(".mlxk/worktrees/*/*")]
    assert not [*(repo / ".git").glob("worktrees/*")]
    assert checkout.fingerprint(repo) == before


CLOSING = """
import asyncio, os, signal, sys
from mlxk.engine.model import EngineModel
close = EngineModel.__aexit__
async def interrupted(self, *exc):
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.01)
    await close(self, *exc)
EngineModel.__aexit__ = interrupted
sys.argv = ["mlxk", "agent", "--json", "hello"]
from mlxk.cli.main import main; main()
"""


def test_ctrl_c_while_the_engine_closes_keeps_the_report(repo):
    done = subprocess.run(
        [sys.executable, "-c", CLOSING], cwd=repo, capture_output=True, check=False
    )
    value = orjson.loads(done.stdout)
    assert (value["error"]["type"], done.returncode) == ("interrupted", 130)
    assert value["data"]["stop_reason"] == "finished"
    assert value["error"]["hint"] == value["data"]["resume"]
    assert b"Traceback" not in done.stderr
