"""The desk: tabs that work at once, news for any number of listeners, nothing ever lost."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from functools import partial

import checkout
import desks
import mcp_server
import pytest

from mlxk.agent.compose import Model
from mlxk.agent.desk import Desk
from mlxk.agent.desk_models import Models
from mlxk.agent.desk_news import Feed, Notice
from mlxk.agent.permissions import Permissions
from mlxk.agent.settings import McpServer, Settings
from mlxk.chat.scripted import Scripted, call
from mlxk.contract.errors import (
    AlreadyExists,
    EngineFailed,
    ModelNotFound,
    NotFound,
    SessionBusy,
    SessionNotFound,
    UnmergedBranch,
    UsageError,
)
from mlxk.history.session import Session
from mlxk.history.store import Store
from mlxk.system import clock

WRITE = call("Write", '{"path": "n.txt", "content": "hi\\n"}')
SLOW = call("Bash", '{"command": "sleep 60"}')


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo")


@pytest.fixture
def desk_of(home, repo):
    """`desk_of(model, …)`: a desk whose every model is that one."""

    return partial(desks.scripted, repo, home)


async def said(tab, prompt):
    tab.submit(prompt)
    await tab.wait()


def types(tab):
    return [news.type for news in tab.feed.backlog()]


def notices(tab):
    return [news.data for news in tab.feed.backlog() if news.type == "notice"]


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_prompt_becomes_a_session_and_news(desk_of, repo):
    async with desk_of(WRITE, "Done.") as desk:
        tab = desk.new()
        await said(tab, "write it")
        assert tab.branch == "mlxk/write-it"
        assert tab.state == "idle"
        shown = types(tab)
        assert shown[:2] == ["prompt", "state"]
        assert (
            shown.index("tool.finished") < shown.index("text.delta") < shown.index("run.finished")
        )
        assert [f.path for f in (await tab.diff()).files] == ["n.txt"]
    assert checkout.git(repo, "show", "mlxk/write-it:n.txt") == "hi"


async def test_tabs_work_at_once_on_one_model(desk_of):
    async with desk_of(Scripted("Hello.", delay_s=0.05)) as desk:
        tabs = [desk.new() for _ in range(3)]
        for tab in tabs:
            tab.submit("greet")
        await until(lambda: all(tab.is_running for tab in tabs))
        await asyncio.gather(*(tab.wait() for tab in tabs))
        assert len({tab.session for tab in tabs}) == 3
        assert len(desk.model_states()) == 1


async def test_a_prompt_waits_while_the_agent_works(desk_of):
    async with desk_of(Scripted("One.", "Two.", delay_s=0.05)) as desk:
        tab = desk.new()
        tab.submit("first")
        tab.submit("second")
        assert tab.status().queued == 1
        await tab.wait()
        assert [m.text for m in (await tab.history()).messages] == [
            "first",
            "One.",
            "second",
            "Two.",
        ]


async def test_an_abort_keeps_the_work_and_gives_waiting_prompts_back(desk_of):
    async with desk_of(WRITE, SLOW, "Done.") as desk:
        tab = desk.new()
        tab.submit("write it")
        tab.submit("and then")
        await until(lambda: types(tab).count("tool.started") == 2)
        assert await tab.abort() == ("and then",)
        assert tab.state == "interrupted"
        assert [f.path for f in (await tab.diff()).files] == ["n.txt"]
        await said(tab, "go on")
        assert tab.state == "idle"


async def test_a_fork_goes_on_from_an_older_step(desk_of):
    async with desk_of(WRITE, "Done.", "Else.") as desk:
        tab = desk.new()
        await said(tab, "write it")
        other = await desk.fork(tab.session, step=1)
        assert other.branch == "mlxk/write-it-2"
        assert types(other)[0] == "prompt"
        await said(other, "do something else")
        assert (await other.diff(since_start=True)).files == ()
        assert len((await tab.diff(since_start=True)).files) == 1
        assert {b.parent for b in await desk.branches()} == {None, tab.session}
        with pytest.raises(UsageError, match="not both"):
            await desk.fork(tab.session, step=1, turn=1)


async def test_a_session_that_another_process_writes_is_busy_and_can_be_forked(desk_of, home, repo):
    async with desk_of(WRITE, "Done.") as desk:
        tab = desk.new()
        await said(tab, "write it")
        session = tab.session
        await tab.close()
        with (
            Store.open(repo, home / ".mlxk") as store,
            Session.open(store, session, when=clock.now()),
        ):
            with pytest.raises(SessionBusy):
                await desk.open(session)
            assert desk.tabs == []
            other = await desk.fork(session)
            assert other.branch == "mlxk/write-it-2"


async def test_an_open_session_is_not_opened_twice(desk_of):
    async with desk_of("Hi.") as desk:
        tab = desk.new()
        await said(tab, "greet")
        assert await desk.open("greet") is tab


async def test_a_session_is_opened_again_with_what_was_said(desk_of):
    async with desk_of(WRITE, "Done.", "More.") as desk:
        tab = desk.new()
        await said(tab, "write it")
        await tab.close()
        again = await desk.open("write-it")
        shown = [n.type for n in again.feed.backlog()]
        assert shown[:4] == ["prompt", "tool.started", "tool.finished", "text.delta"]
        await said(again, "more")
        assert len((await again.history()).messages) == 6


async def test_an_interrupted_session_says_so(desk_of):
    async with desk_of(SLOW) as desk:
        tab = desk.new()
        tab.submit("wait")
        await until(lambda: "tool.started" in types(tab))
        assert (await tab.close()).branch == "mlxk/wait"
        assert (await desk.open("wait")).state == "interrupted"


async def test_landing_reaches_the_users_branch(desk_of, repo):
    async with desk_of(WRITE, "Done.") as desk:
        tab = desk.new()
        await said(tab, "write it")
        assert await tab.is_unmerged()
        landed = await tab.land()
        assert landed.branch == "main"
        assert (repo / "n.txt").read_text() == "hi\n"
        assert not await tab.is_unmerged()
        closed = await tab.close()
        assert (closed.branch, closed.unmerged) == ("mlxk/write-it", False)


@pytest.mark.parametrize(
    ("how", "said_of_it"),
    [
        pytest.param("edit", "uncommitted changes in a.txt", id="uncommitted work"),
        pytest.param("detach", "HEAD is on no branch", id="no branch"),
        pytest.param("nobody", "names nobody", id="no identity"),
    ],
)
async def test_what_could_not_land_is_said_before_the_work(desk_of, repo, how, said_of_it):
    match how:
        case "edit":
            (repo / "a.txt").write_text("mine\n")
        case "detach":
            checkout.git(repo, "checkout", "-q", "--detach")
        case "nobody":
            checkout.git(repo, "config", "--unset", "user.email")
    async with desk_of(WRITE, "Done.") as desk:
        tab = desk.new()
        await said(tab, "write it")
        (notice,) = notices(tab)
        assert said_of_it in notice.text
        assert notice.hint
        assert types(tab).index("notice") < types(tab).index("turn.started")
        assert tab.state == "idle"


async def test_closing_says_that_work_is_unmerged_and_keeps_it(desk_of, repo):
    async with desk_of(WRITE, "Done.") as desk:
        tab = desk.new()
        await said(tab, "write it")
        assert (await tab.close()).unmerged
        with pytest.raises(UsageError, match="closed"):
            tab.submit("more")
    assert checkout.git(repo, "show", "mlxk/write-it:n.txt") == "hi"


async def test_a_removed_session_is_in_the_trash(desk_of, repo):
    async with desk_of(WRITE, "Done.") as desk:
        tab = desk.new()
        await said(tab, "write it")
        with pytest.raises(UsageError, match="open in a tab"):
            await desk.remove("write-it", force=True)
        await tab.close()
        with pytest.raises(UnmergedBranch):
            await desk.remove("write-it")
        await desk.remove("write-it", force=True)
        assert await desk.branches() == ()


async def test_undo_takes_files_and_conversation_back(desk_of):
    async with desk_of(WRITE, "Done.") as desk:
        tab = desk.new()
        await said(tab, "write it")
        await tab.undo()
        assert (await tab.history()).messages == ()
        assert not (tab.folder / "n.txt").exists()
        assert "prompt" not in types(tab)


async def test_a_persons_command_is_shown_committed_and_told_to_the_model(desk_of):
    model = Scripted("Hi.", "I see.")
    async with desk_of(model) as desk:
        tab = desk.new()
        await said(tab, "greet")
        await tab.command("echo out; echo made > made.txt; exit 3")
        [finished] = [n.data for n in tab.feed.backlog() if n.type == "command.finished"]
        assert finished.exit_code == 3
        assert [f.path for f in (await tab.diff(since_start=True)).files] == ["made.txt"]
        await said(tab, "what happened?")
        assert "(exit code 3):\nout" in model.requests[-1].messages[-1].text


async def test_ten_megabytes_of_output_stay_bounded(desk_of):
    async with desk_of("Hi.") as desk:
        tab = desk.new()
        await tab.command("head -c 10000000 /dev/zero | tr '\\0' 'x'")
        finished = tab.feed.backlog()[-1].data
        assert finished.dropped_bytes == 10_000_000 - (1 << 20)
        assert sum(len(getattr(n.data, "text", "")) for n in tab.feed.backlog()) <= 1 << 20


async def test_a_command_can_be_stopped(desk_of):
    async with desk_of("Hi.") as desk:
        tab = desk.new()
        running = asyncio.create_task(tab.command("sleep 60"))
        await until(lambda: "command.started" in types(tab))
        await tab.abort()
        await running
        assert tab.feed.backlog()[-1].type == "command.finished"


async def test_a_failing_check_goes_to_the_model_until_it_passes(desk_of):
    async with desk_of("Hi.", WRITE, "Fixed.") as desk:
        tab = desk.new()
        await said(tab, "greet")
        tab.check("test -s n.txt")
        await tab.wait()
        checks = [n.data for n in tab.feed.backlog() if n.type == "check.finished"]
        assert [c.passed for c in checks] == [False, True]
        assert tab.state == "idle"


async def test_a_question_is_answered(desk_of):
    asking = Settings("script", permissions=Permissions("ask"))
    async with desk_of(WRITE, WRITE, "Done.", settings=asking) as desk:
        tab = desk.new()
        tab.submit("write it")
        await until(lambda: tab.state == "asking")
        [question] = tab.status().questions
        assert (question.name, question.about) == ("Write", "n.txt")
        with pytest.raises(NotFound):
            tab.answer("another", True)
        tab.answer(question.id, True, always=True)
        await tab.wait()
        assert types(tab).count("permission.asked") == 2
        assert tab.state == "idle"


async def test_a_failing_model_is_told_and_the_tab_goes_on(desk_of):
    async with desk_of(EngineFailed("the engine died", hint="try again"), "Here.") as desk:
        tab = desk.new()
        await said(tab, "greet")
        assert tab.state == "failed"
        assert [e.type for e in tab.errors] == ["engine_failed"]
        assert notices(tab)[-1].hint == "try again"
        await said(tab, "again")
        assert tab.state == "idle"


async def test_a_model_that_cannot_be_opened_is_told_and_tried_again(home, repo):
    tried = []

    @asynccontextmanager
    async def opener(settings):
        tried.append(settings.model)
        if len(tried) < 2:
            raise ModelNotFound(f"no model {settings.model}")
        yield Model(Scripted("Hi."))

    async with Desk(repo, Settings("gone"), opener=opener, home=home / ".mlxk") as desk:
        tab = desk.new()
        await until(lambda: tab.status().model.phase == "failed")
        assert tab.status().model.error == "no model gone"
        await said(tab, "greet")
        assert tab.state == "idle"


async def test_a_session_that_cannot_be_read_any_more_is_let_go_of_all_the_same(desk_of, repo):
    async with desk_of("Hm.") as desk:
        tab = desk.new()
        await said(tab, "one")
        checkout.git(repo, "update-ref", "-d", f"refs/mlxk/sessions/{tab.session}")
        with pytest.raises(SessionNotFound):
            await tab.close()
        assert (tab.state, tab.session, desk.tabs) == ("closed", None, [])


async def test_another_model_takes_over_and_the_first_is_closed(home, repo):
    open_now, models = set(), {"a": Scripted("I am a."), "b": Scripted("I am b.")}

    @asynccontextmanager
    async def opener(settings):
        open_now.add(settings.model)
        try:
            yield Model(models[settings.model])
        finally:
            open_now.discard(settings.model)

    async with Desk(repo, Settings("a"), opener=opener, home=home / ".mlxk") as desk:
        tab = desk.new()
        await said(tab, "who are you?")
        await tab.set_model("b")
        await said(tab, "and now?")
        assert [m.text for m in models["b"].requests[0].messages[1:]][-2:] == [
            "I am a.",
            "and now?",
        ]
        await tab.set_model("a")
        assert open_now == {"a"}
    assert open_now == set()


async def test_a_tab_that_is_closed_twice_at_once_is_closed_once(desk_of):
    """As a double click does."""
    async with desk_of("Hi.") as desk:
        tab = desk.new()
        await said(tab, "greet")
        await asyncio.gather(tab.close(), tab.close())
        assert desk.tabs == []


async def test_models_that_two_let_go_of_at_once_are_closed_once():
    closed = []

    @asynccontextmanager
    async def opener(settings):
        yield Model(Scripted("Hi."))
        await asyncio.sleep(0.01)
        closed.append(settings.model)

    models = Models(opener)
    for name in ("a", "b"):
        await models.get(Settings(name))
    await asyncio.gather(models.keep([]), models.keep([]))
    assert sorted(closed) == ["a", "b"]


async def test_the_tools_of_a_tab_are_those_that_the_model_is_offered(desk_of, repo):
    skill = repo / ".mlxk" / "skills" / "review"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("---\nname: review\n---\nLook.\n")
    server = McpServer("local", (sys.executable, mcp_server.__file__), tools=("echo",))
    settings = Settings("script", tools=("Read", "Lsp", "Agent"), mcp=(server,))
    async with desk_of("Done.", settings=settings) as desk:
        tab = desk.new()
        before = [tool.name for tool in tab.tools()]
        await said(tab, "do it")
        after = [tool.name for tool in tab.tools()]
        assert before == ["Read", "Skill", "Lsp", "Agent", "mcp__local__*"]
        assert after == ["Read", "Skill", "Lsp", "mcp__local__echo", "Agent"]


async def test_clear_lets_the_session_go_and_takes_another_configuration(desk_of, repo):
    (repo / "agents").mkdir()
    (repo / "agents" / "reader.json").write_text('{"tools": ["Read"]}')
    async with desk_of(WRITE, "Done.", "Fresh.") as desk:
        tab = desk.new()
        await said(tab, "write it")
        first = tab.session
        closed = await tab.clear("reader")
        assert (closed.branch, closed.unmerged, tab.session) == ("mlxk/write-it", True, None)
        assert [tool.name for tool in tab.tools()] == ["Read"]
        await said(tab, "begin")
        assert tab.session != first
        assert len((await tab.history()).messages) == 2


async def test_an_export_reads_well(desk_of):
    async with desk_of(WRITE, "Done.") as desk:
        tab = desk.new()
        await said(tab, "write it")
        text = await tab.export()
        assert text.startswith("# mlxk/write-it\n")
        assert "## 1. user\n\nwrite it" in text
        raw = [json.loads(line) for line in (await tab.export(raw=True)).splitlines()]
        assert [line["type"] for line in raw][:3] == ["session", "step", "step"]


async def test_what_needs_a_session_says_so(desk_of):
    async with desk_of("Hi.") as desk:
        tab = desk.new()
        for wanted in (tab.diff(), tab.land(), tab.undo()):
            with pytest.raises(UsageError, match="no session yet"):
                await wanted
        with pytest.raises(UsageError, match="empty"):
            tab.submit("  ")
        await said(tab, "greet")
        with pytest.raises(AlreadyExists):
            await desk.fork(tab.session, name="greet")


async def test_every_listener_hears_the_backlog_and_what_comes(desk_of):
    async with desk_of("Hi.", "Bye.") as desk:
        tab = desk.new()
        await said(tab, "greet")
        with tab.feed.subscribe() as one, tab.feed.subscribe() as two:
            assert [n.type for n in await one.batch()] == types(tab)
            await said(tab, "leave")
            heard = [n.data.text for n in (await one.batch()) if n.type == "text.delta"]
            assert heard == ["Bye."]
            assert [n.type for n in await two.batch()][-1] == "state"


async def test_a_slow_listener_starts_again_and_memory_is_bounded():
    feed = Feed(clock.now, limit=10_000)
    slow = feed.subscribe()
    for number in range(1_000):
        feed.tell(Notice("info", f"{number:0100}"))
    assert len(feed.backlog()) < 100
    batch = await slow.batch()
    assert batch[0].type == "reset"
    assert batch[-1].data.text.endswith("999")
    assert feed.forgotten > 900


async def test_an_abort_before_the_first_step_ends_cleanly(desk_of):
    async with desk_of("Hi.", "Hello.") as desk:
        tab = desk.new()
        tab.submit("greet")
        await tab.abort()
        assert tab.state == "interrupted"
        await said(tab, "greet")
        assert tab.state == "idle"


async def test_two_aborts_at_once_leave_the_work_whole(desk_of):
    async with desk_of(WRITE, SLOW) as desk:
        tab = desk.new()
        tab.submit("write it")
        await until(lambda: types(tab).count("tool.started") == 2)
        await asyncio.gather(tab.abort(), tab.abort())
        assert tab.state == "interrupted"
        roles = [m.role for m in (await tab.history()).messages]
        assert roles == ["user", "assistant", "tool", "assistant", "tool"]


async def test_a_warning_is_told_once(desk_of):
    async with desk_of("Hi.", "Hello.") as desk:
        tab = desk.new()
        await said(tab, "greet")
        await said(tab, "greet")
        told = [n.data for n in tab.feed.backlog() if n.type in ("warning", "notice")]
        texts = [getattr(data, "message", "") or data.text for data in told]
        assert len(texts) == len(set(texts))


async def test_named_settings_override_those_of_the_session(desk_of):
    async with desk_of("Hi.") as desk:
        tab = desk.new()
        await said(tab, "greet")
        await tab.close()
        again = await desk.open("greet", model="another", temperature=0.5)
        assert (again.settings.model, again.settings.temperature) == ("another", 0.5)
