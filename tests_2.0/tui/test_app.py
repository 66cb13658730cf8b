"""The full screen, driven by keys, over a scripted model."""

import asyncio
import json
import re
import subprocess
import sys
import threading
from contextlib import asynccontextmanager

import checkout
import desks
import pytest

from mlxk.agent.permissions import Permissions
from mlxk.agent.settings import Settings
from mlxk.chat.scripted import Scripted, call
from mlxk.chat.types import Text, Thinking
from mlxk.contract.errors import EngineFailed, ExtraMissing
from mlxk.history.session import Session
from mlxk.history.store import Store
from mlxk.system import clock
from mlxk.tui import app, start
from mlxk.tui.app import Terminal
from mlxk.tui.editor import Editor
from mlxk.tui.face import Opening

WRITE = call("Write", '{"path": "n.txt", "content": "hi\\n"}')
SLOW = call("Bash", '{"command": "sleep 60"}')


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo", files={"a.txt": "one\ntwo\nthree\n"})


class Screen:
    """What a person does and sees."""

    def __init__(self, app, pilot):
        self.app = app
        self.pilot = pilot

    @property
    def desk(self):
        return self.app.desk

    @property
    def tab(self):
        return self.app.tab

    async def type(self, text):
        self.app.query_one(Editor).insert(text)
        await self.pilot.press("enter")
        await self.pilot.pause()

    async def ask(self, text):
        """Type it and wait until the agent has done it."""
        await self.type(text)
        await self.until(lambda: self.tab.feed.backlog())
        await self.tab.wait()
        await self.rest()

    async def rest(self):
        await self.pilot.pause(0.15)

    async def until(self, condition):
        for _ in range(400):
            if condition():
                return
            await self.pilot.pause(0.02)
        raise AssertionError(f"did not come about; the screen:\n{self.text}")

    async def sees(self, *wanted):
        await self.until(lambda: all(w in self.text for w in wanted))

    @property
    def text(self):
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(s.text for s in strip).rstrip() for strip in strips)

    @property
    def told(self):
        return [news.data.text for news in self.tab.feed.backlog() if news.type == "notice"]

    @property
    def typed(self):
        return self.app.query_one(Editor).text

    @property
    def status(self):
        return self.text.splitlines()[-1]


@pytest.fixture
def opened(home, repo):
    """`opened(*turns)`: a context with the screen of a desk of that model."""

    @asynccontextmanager
    async def open_(*turns, size=(100, 40), resume=None, **options):
        desk = desks.scripted(repo, home, *turns, **options)
        app = Terminal(Opening(lambda: desk, resume))
        async with app.run_test(size=size) as pilot:
            screen = Screen(app, pilot)
            await screen.until(lambda: app._tab is not None or len(app.screen_stack) > 1)
            yield screen
            await desk.close()

    return open_


async def test_a_prompt_streams_thinking_calls_and_words(opened):
    turn = [Thinking("hm, a file"), Text("I write it."), WRITE]
    async with opened(turn, "It is **done**.") as screen:
        await screen.ask("write it")
        await screen.sees("write it", "✻ thought", "I write it.", "● Write n.txt", "It is done.")
        assert "hm, a file" not in screen.text
        await screen.pilot.press("f4")
        await screen.sees("hm, a file")
        assert "ready · script · mlxk/write-it" in screen.status
        assert "1 ○ write-it" in screen.text


async def test_an_edit_shows_its_lines(opened):
    edit = {"path": "a.txt", "old_string": "two", "new_string": "zwei"}
    async with opened(call("Edit", json.dumps(edit)), "Done.") as screen:
        await screen.ask("translate")
        await screen.sees("-two", "+zwei", "step 3 (+1 -1)")


async def test_tabs_are_branches_that_work_at_once(opened):
    async with opened(WRITE, "Done.", Scripted("x")._turns[0]) as screen:
        await screen.ask("write it")
        await screen.type("/branch --step 1 do it otherwise")
        await screen.sees("2 ", "write-it-2")
        await screen.until(lambda: len(screen.desk.tabs) == 2)
        assert screen.tab.branch == "mlxk/write-it-2"
        await screen.pilot.press("alt+1")
        assert screen.tab.branch == "mlxk/write-it"
        await screen.pilot.press("alt+right")
        assert screen.tab.branch == "mlxk/write-it-2"
        await screen.pilot.press("ctrl+1")
        await screen.pilot.press("f8")
        assert screen.tab.branch == "mlxk/write-it-2"
        await screen.type("/tab 9")
        await screen.sees("there is no tab 9")


async def test_several_futures_at_once_and_a_branch_of_another_session(opened):
    async with opened("Hi.") as screen:
        await screen.type("/futures 2 too early")
        await screen.sees("nothing to branch from yet")
        await screen.ask("greet")
        await screen.type("/futures 2 in another way")
        await screen.until(lambda: sum(tab.branch is not None for tab in screen.desk.tabs) == 3)
        await screen.until(lambda: not any(tab.is_running for tab in screen.desk.tabs))
        assert screen.tab.branch == "mlxk/greet-2"
        await screen.type("/branch --from greet-3 --name mine")
        await screen.until(lambda: screen.tab.branch == "mlxk/mine")


async def test_enter_sends_and_ctrl_j_breaks_the_line(opened):
    model = Scripted("Hi.")
    async with opened(model) as screen:
        await screen.pilot.press("a", "ctrl+j", "b")
        assert screen.typed == "a\nb"
        await screen.pilot.press("enter")
        await screen.until(lambda: model.requests)
        assert model.requests[0].messages[-1].text == "a\nb"
        assert screen.typed == ""
        await screen.pilot.press("ctrl+r")
        assert screen.typed == "a\nb"


async def test_typing_does_not_wait_for_the_model(opened):
    async with opened(SLOW) as screen:
        await screen.type("wait for me")
        await screen.until(lambda: screen.tab.is_running)
        await screen.pilot.press(*"typing")
        assert screen.typed == "typing"
        await screen.pilot.press("enter")
        await screen.until(lambda: screen.tab.status().queued == 1)
        await screen.sees("working +1")


async def test_every_key_may_be_pressed_before_the_desk_is_there(home, repo):
    there, desk = threading.Event(), desks.scripted(repo, home, "Hi.")

    def make():
        there.wait(20)
        return desk

    app = Terminal(Opening(make))
    async with app.run_test() as pilot:
        screen = Screen(app, pilot)
        keys = {binding.action: binding.key.split(",")[0] for binding in app.BINDINGS}
        del keys["close"]
        await pilot.press(*keys.values(), *"hi", "enter")
        there.set()
        await screen.until(lambda: len(desk.tabs) == 2)
        await screen.until(lambda: any(tab.session for tab in desk.tabs))
        await desk.close()


async def test_ctrl_c_clears_the_line_then_stops_the_agent(opened):
    async with opened(SLOW) as screen:
        await screen.type("wait")
        await screen.until(lambda: screen.tab.is_running)
        await screen.pilot.press("x", "ctrl+c")
        assert screen.typed == ""
        assert screen.tab.is_running
        await screen.pilot.press("ctrl+c")
        await screen.until(lambda: not screen.tab.is_running)
        await screen.sees("interrupted")


async def test_ctrl_c_stops_a_persons_command(opened):
    async with opened("Hi.") as screen:
        await screen.type("!sleep 60")
        await screen.sees("$ sleep 60")
        await screen.pilot.press("ctrl+c")
        await screen.sees("exit code 130")


async def test_ctrl_d_asks_before_unmerged_work_goes_out_of_sight(opened):
    async with opened(WRITE, "Done.") as screen:
        await screen.ask("write it")
        await screen.pilot.press("ctrl+d")
        await screen.sees("holds work that has not landed")
        await screen.pilot.press("escape")
        await screen.rest()
        assert screen.tab.branch == "mlxk/write-it"
        await screen.type("/land")
        await screen.sees("landed on main")
        await screen.pilot.press("ctrl+d")
        await screen.until(lambda: not screen.app.is_running)


async def test_ctrl_d_closes_one_tab_of_several(opened):
    async with opened("Hi.") as screen:
        await screen.pilot.press("ctrl+t")
        await screen.until(lambda: len(screen.desk.tabs) == 2)
        await screen.pilot.press("ctrl+d")
        await screen.until(lambda: len(screen.desk.tabs) == 1)
        assert screen.app.is_running


async def test_tab_completes_commands_and_paths(opened):
    async with opened("Hi.") as screen:
        await screen.pilot.press(*"/exp", "tab")
        assert screen.typed == "/export "
        await screen.pilot.press("ctrl+c", *"/br", "tab")
        await screen.sees("/branch  /branches")
        await screen.pilot.press("ctrl+c", *"see a", "tab")
        assert screen.typed == "see a.txt"


async def test_changes_stand_side_by_side(opened):
    edit = {"path": "a.txt", "old_string": "two", "new_string": "zwei"}
    async with opened(call("Edit", json.dumps(edit)), "Done.") as screen:
        await screen.ask("translate")
        await screen.type("/diff")
        await screen.sees("changes of the last prompt")
        assert re.search(r"2  two +│ +2  zwei", screen.text)
        await screen.pilot.resize_terminal(60, 20)
        await screen.sees("- two", "+ zwei")
        await screen.pilot.press("escape")
        await screen.sees("F1 help")


async def test_a_question_is_answered_in_place(opened):
    asking = Settings("script", permissions=Permissions("ask"))
    async with opened(WRITE, "Done.", settings=asking) as screen:
        await screen.type("write it")
        await screen.sees("May it?", "asks")
        await screen.pilot.press("f2")
        await screen.until(lambda: screen.tab.state == "idle")
        await screen.sees("allowed", "Done.")


async def test_a_refusal_is_told(opened):
    asking = Settings("script", permissions=Permissions("ask"))
    async with opened(WRITE, "Then not.", settings=asking) as screen:
        await screen.type("write it")
        await screen.sees("May it?")
        await screen.pilot.press("f3")
        await screen.sees("refused", "Then not.")


async def test_a_persons_command_is_captured(opened):
    async with opened("Hi.") as screen:
        await screen.type("!echo out; exit 4")
        await screen.sees("$ echo out; exit 4", "out", "exit code 4")


async def test_a_terminal_that_cannot_be_lent_says_so(opened):
    async with opened("Hi.") as screen:
        await screen.type("$true")
        await screen.sees("cannot be lent")


async def test_ten_megabytes_of_output_stay_usable(opened):
    flood = "head -c 10000000 /dev/zero | tr '\\0' 'x' | fold -w 79"
    async with opened("Hi.") as screen:
        await screen.type(f"!{flood}")
        await screen.sees("more lines", "more bytes")
        await screen.pilot.press("f4")
        await screen.type("are you there?")
        await screen.sees("Hi.")


@pytest.mark.parametrize("size", [(20, 8), (8, 4), (300, 90)], ids=["narrow", "tiny", "huge"])
async def test_every_size_of_terminal_works(opened, size):
    words = "שלום 你好 " + "long" * 60
    async with opened([Text(words), WRITE], words, size=size) as screen:
        await screen.ask("schreib 你好 " * 9)
        for width, height in ((3, 3), (200, 5), (1, 1), (40, 40), size):
            await screen.pilot.resize_terminal(width, height)
        for line in ("/help", "/history", "/diff --all"):
            await screen.type(line)
            await screen.until(lambda: len(screen.app.screen_stack) > 1)
            await screen.pilot.press("escape")
        assert screen.tab.state == "idle"


async def test_a_dead_engine_is_told_and_the_next_prompt_works(opened):
    async with opened(EngineFailed("the engine died", hint="try again"), "Here.") as screen:
        await screen.ask("greet")
        await screen.sees("the engine died", "try again", "failed")
        await screen.ask("again")
        await screen.sees("Here.")
        await screen.type("/errors")
        await screen.sees("engine_failed: the engine died")


async def test_a_busy_session_is_told_and_a_branch_is_offered(opened, home, repo):
    desk = desks.scripted(repo, home, "Hi.")
    tab = desk.new()
    tab.submit("greet")
    await tab.wait()
    await desk.close()
    with (
        Store.open(repo, home / ".mlxk") as store,
        Session.open(store, "greet", when=clock.now()),
    ):
        async with opened("Hi.", resume="greet") as screen:
            await screen.sees("another process is writing")
            await screen.pilot.press("y")
            await screen.until(lambda: "mlxk/greet-2" in [tab.branch for tab in screen.desk.tabs])


async def test_what_is_typed_wrong_is_said_with_a_hint(opened):
    async with opened("Hi.") as screen:
        for line, said in (
            ("/nothing", "there is no command /nothing"),
            ("/diff", "no session yet"),
            ("/branch --step x", "nothing to branch from yet"),
            ("/diff --wrong", "has no option --wrong"),
            ("/open gone", "no session matches 'gone'"),
            ("/check", "which command?"),
            ("/allow", "nothing is asked now"),
        ):
            await screen.type(line)
            await screen.sees(said)


async def test_commands_reach_all_that_a_session_can(opened, repo):
    async with opened(WRITE, "Done.", "More.") as screen:
        await screen.ask("write it")
        await screen.type("/export")
        await screen.sees("write-it.md")
        assert (repo / "write-it.md").read_text().startswith("# mlxk/write-it")
        await screen.type("/export no/such/folder.md")
        await screen.type("/export --force .")
        await screen.until(lambda: sum("cannot be written" in e for e in screen.told) == 2)
        await screen.type("/check test -s n.txt")
        await screen.sees("✓ test -s n.txt")
        await screen.type("/undo")
        await screen.sees("undo to step 0")
        await screen.type("/model other")
        await screen.sees("· other ·")
        await screen.type("/branches")
        await screen.sees("mlxk/write-it")
        await screen.pilot.press("q")
        await screen.type("/clear")
        await screen.sees("is kept", "no branch yet")
        await screen.type("/rm write-it")
        await screen.sees("removed mlxk/write-it")


async def test_a_page_has_the_keys_while_it_is_there(opened):
    async with opened("Hi.", size=(60, 12)) as screen:
        await screen.type("/help")
        await screen.sees("Help", "/branch")
        await screen.pilot.press("pagedown", "end", "ctrl+t")
        await screen.sees("light, dark")
        assert len(screen.desk.tabs) == 1
        await screen.pilot.press("ctrl+c")
        await screen.sees("Ask for something, or /help")


async def test_the_mouse_folds_switches_and_leaves_the_keys_to_the_editor(opened):
    async with opened([Thinking("a long thought"), Text("Said.")]) as screen:
        await screen.ask("think")
        await screen.pilot.click("Fold")
        await screen.sees("a long thought")
        await screen.pilot.press("x")
        assert screen.typed == "x"
        await screen.pilot.press("ctrl+t")
        await screen.until(lambda: len(screen.desk.tabs) == 2)
        await screen.pilot.click("#tabs", offset=(3, 0))
        assert screen.tab is screen.desk.tabs[0]


@pytest.fixture
def headless(home, repo, monkeypatch):
    """`headless(broken)`: the whole face without a terminal; when its desk is there, `broken(it)`
    is called in it. Gives the desk."""

    def open_(broken):
        desk = desks.scripted(repo, home, "Hi.")

        class Broken(Terminal):
            async def run_async(self):
                face = asyncio.create_task(super().run_async(headless=True))
                while self._tab is None:
                    await asyncio.sleep(0.01)
                broken(self)
                await face

        monkeypatch.setattr(app, "Terminal", Broken)
        with pytest.raises(ArithmeticError, match="broken"):
            start.full_screen(Opening(lambda: desk))
        return desk

    return open_


def gone(_):
    raise ArithmeticError("broken: the terminal is gone")


def failing(face):
    face.call_later(gone, face)


@pytest.mark.parametrize("broken", [gone, failing], ids=["terminal", "handler"])
def test_a_face_that_breaks_closes_its_desk_and_shows_no_traceback(headless, capfd, broken):
    assert headless(broken).tabs == []
    assert "Traceback" not in "".join(capfd.readouterr())


def test_without_textual_the_line_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "textual", None)
    with pytest.raises(ExtraMissing) as caught:
        start.require_textual()
    assert "mlxk[tui]" in caught.value.hint
    assert "--bare" in caught.value.hint


async def test_light_and_dark(opened):
    async with opened("Hi.") as screen:
        dark = screen.app.theme
        await screen.pilot.press("f9")
        assert (dark, screen.app.theme) == ("mlxk-dark", "mlxk-light")


def test_what_the_first_paint_does_not_need_is_not_imported():
    late = ("dulwich", "aiohttp", "markdown_it", "mlxk.agent", "mlxk.history", "mlxk.chat.types")
    probe = f"import sys, mlxk.tui.app; print([m for m in {late} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
