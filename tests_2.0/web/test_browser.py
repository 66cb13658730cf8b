"""The page in a real browser: what people see and press, and what hostile output cannot do."""

import asyncio
import json
from contextlib import AsyncExitStack

import browser as support
import checkout
import pytest
import pytest_asyncio
from web_room import opened

from mlxk.chat.scripted import Scripted, call
from mlxk.chat.types import Text, Thinking

pytest.importorskip("playwright", reason="playwright is not installed")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(support.CHROMIUM is None, reason="there is no chromium on this machine"),
]

WRITE = call("Write", '{"path": "n.txt", "content": "hi\\n"}')
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script></pre>'


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chromium():
    async with support.chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def show(chromium, home, tmp_path):
    """`show(*turns)`: (the room, a window that was let in)."""
    repo = checkout.make(tmp_path / "repo")
    async with AsyncExitStack() as stack:

        async def make(*turns, delay_s=0.0, screen=None, **options):
            model = (
                turns[0] if isinstance(turns[0], Scripted) else Scripted(*turns, delay_s=delay_s)
            )
            room = await stack.enter_async_context(opened(repo, home / ".mlxk", model, **options))
            window = await stack.enter_async_context(support.window(chromium, **(screen or {})))
            await window.enter(room.link)
            return room, window

        yield make


async def say(page, text):
    await page.fill("#words", text)
    await page.keyboard.press("Enter")


async def text_of(page, selector):
    return (await page.text_content(selector) or "").strip()


async def test_a_prompt_streams_becomes_steps_and_shows_its_changes(show):
    thought = [Thinking("Let me think."), Text("I will **write** it."), WRITE]
    _, window = await show(thought, "Done.")
    page = window.page
    await say(page, "write it")
    await page.wait_for_selector(".session[aria-current=true]")
    await page.wait_for_selector(".past .commit")
    assert await text_of(page, ".past .said") == "write it"
    assert await text_of(page, ".past .prose strong") == "write"
    assert not await page.is_visible("text=Let me think.")
    await page.click(".past .thinking summary")
    assert await page.is_visible("text=Let me think.")
    await page.click(".past .commit button")
    assert await text_of(page, ".sides .add") == "hi"
    assert page.url.endswith("#write-it/changes")
    assert window.complaints == []


async def test_nothing_that_a_model_or_a_tool_says_is_html(show):
    answer = [
        Thinking(HOSTILE),
        Text(f"{HOSTILE}\n\n`{HOSTILE}`\n\n```\n{HOSTILE}\n```\n# {HOSTILE}"),
    ]
    write = call("Write", json.dumps({"path": "<b>.txt", "content": HOSTILE}))
    echo = call("Bash", json.dumps({"command": f"echo '{HOSTILE}'"}), "call_2")
    _, window = await show([*answer, write, echo], [*answer], permissions="all")
    page = window.page
    await say(page, HOSTILE)
    await page.wait_for_selector(".past .msg:nth-last-child(1) .prose")
    await page.evaluate(
        "document.querySelectorAll('details').forEach((each) => (each.open = true))"
    )
    await page.wait_for_function("document.querySelectorAll('.past .output').length == 5")
    assert await page.locator("#view script, #view img, #sessions script").count() == 0
    await page.click("[data-view=changes]")
    await page.wait_for_selector(".sides")
    assert await page.locator("#view img, #view script").count() == 0
    await page.click("[data-view=graph]")
    await page.wait_for_selector(".graph .node")
    assert await page.title() not in ("1", "2")
    assert window.complaints == []


async def test_even_a_mistake_of_ours_could_not_run_a_script(show):
    _, window = await show("Hm.")
    refused = """(html) => {
        try { document.body.innerHTML = html; return false } catch { return true }
    }"""
    assert await window.page.evaluate(refused, HOSTILE)


@pytest.mark.slow
async def test_a_question_is_answered_by_a_key(show):
    room, window = await show(WRITE, "Done.", permissions="ask")
    page = window.page
    await say(page, "write it")
    await page.wait_for_selector(".ask .row button")
    assert await text_of(page, ".ask pre") == "n.txt"
    await page.keyboard.press("Escape")
    await page.keyboard.press("y")
    await page.wait_for_selector(".past .commit")
    assert room.desk.tabs[0].state == "idle"


@pytest.mark.slow
async def test_stop_by_a_key_keeps_what_was_done(show):
    room, window = await show(WRITE, [Text("word " * 4)] * 50, delay_s=0.2)
    page = window.page
    await say(page, "write it")
    await page.wait_for_selector(".live .commit")
    await page.keyboard.press("Escape")
    await page.keyboard.press(".")
    await page.wait_for_selector("#title .chip.interrupted")
    await page.wait_for_selector(".past .commit")
    assert room.desk.tabs[0].state == "interrupted"


@pytest.mark.slow
async def test_a_fork_undo_and_landing_by_keys(show, tmp_path):
    _, window = await show(WRITE, "Done.")
    page = window.page
    await say(page, "write it")
    await page.wait_for_selector(".past .commit")
    await page.keyboard.press("Escape")
    await page.keyboard.press("l")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".toast")
    assert checkout.git(tmp_path / "repo", "show", "main:n.txt") == "hi"
    await page.keyboard.press("f")
    await page.keyboard.type("second")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#title >> text=second")
    await page.keyboard.press("Escape")
    await page.keyboard.press("u")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("text=undo to step 0")
    await page.keyboard.press("g")
    assert await page.locator(".session").count() == 2
    await page.locator(".node[tabindex='0']").first.focus()
    for key in ("ArrowLeft", "ArrowDown", "ArrowUp", "ArrowLeft", "Enter"):
        await page.keyboard.press(key)
    assert await page.locator(".node.chosen").count() == 1
    assert "write-it" in await text_of(page, ".card p")
    assert window.complaints == []


@pytest.mark.slow
async def test_two_windows_on_one_session_show_the_same(show, chromium):
    room, first = await show("One.", "Two.")
    await say(first.page, "hello")
    await first.page.wait_for_selector(".past >> text=One.")
    link = room.new_link()
    async with support.window(chromium) as second:
        await second.enter(link)
        await second.page.click(".session")
        await second.page.wait_for_selector(".past >> text=One.")
        await say(second.page, "again")
        await first.page.wait_for_selector(".past >> text=Two.")
        await second.page.wait_for_selector(".past >> text=Two.")
        for window in (first, second):
            assert await window.page.locator(".msg.user").count() == 2


@pytest.mark.slow
async def test_a_page_opened_while_a_run_goes_on_shows_all_of_it_once(show, chromium):
    room, first = await show(WRITE, [Text("word ")] * 60, delay_s=0.3)
    await say(first.page, "write it")
    await first.page.wait_for_selector(".live .commit")
    link = room.new_link()
    async with support.window(chromium) as second:
        await second.enter(link)
        await second.page.click(".session")
        await second.page.wait_for_selector(".live .commit")
        assert await second.page.locator(".msg.user").count() == 1
        assert await second.page.locator(".call").count() == 1


@pytest.mark.slow
async def test_a_lost_server_is_said_and_the_page_goes_on_when_it_is_back(show):
    room, window = await show("One.", "Two.")
    page = window.page
    await say(page, "hello")
    await page.wait_for_selector(".past >> text=One.")
    async with room.away():
        await page.wait_for_selector("#banner:visible")
        await say(page, "are you there")
        await page.wait_for_selector(".toast.bad")
        assert await page.input_value("#words") == "are you there"
    await page.wait_for_selector("#banner", state="hidden")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".past >> text=Two.")


@pytest.mark.slow
async def test_a_model_that_cannot_be_opened_is_said(show):
    from mlxk.contract.errors import EngineFailed

    _, window = await show(EngineFailed("the engine died", hint="look at its log"), "Back.")
    page = window.page
    await say(page, "hello")
    await page.wait_for_selector(".note.error")
    assert "the engine died" in await text_of(page, ".note.error")
    await say(page, "once more")
    await page.wait_for_selector(".past >> text=Back.")


@pytest.mark.slow
async def test_ten_megabytes_of_output_stay_usable(show):
    from mlxk.agent.job import Bounds
    from mlxk.agent.tools.base import Limits

    command = "yes 0123456789abcdef0123456789abcdef0123456789 | head -c 10000000"
    run = call("Bash", json.dumps({"command": command}))
    room, window = await show(run, "Done.", permissions="all")
    room.desk.bounds = Bounds(limits=Limits(output_bytes=11_000_000))
    page = window.page
    await say(page, "shout")
    await page.wait_for_selector(".past >> text=Done.", timeout=20_000)
    await page.click(".past .call summary")
    assert (
        await page.locator(".past .output").last.evaluate("(e) => e.textContent.length") == 20_000
    )
    await page.click("text=Show all")
    shown = "() => [...document.querySelectorAll('.output')].at(-1).textContent.length > 9_000_000"
    await page.wait_for_function(shown)
    async with asyncio.timeout(5):
        await page.fill("#words", "still here")
        await page.keyboard.press("PageDown")


WIDE = "漢字かな交じり文" * 20 + " مرحبا بالعالم " * 10 + "x" * 500


@pytest.mark.slow
@pytest.mark.parametrize("view", ["chat", "changes", "graph"])
async def test_nothing_is_wider_than_a_narrow_window(show, view):
    write = call("Write", json.dumps({"path": f"{'long' * 20}.txt", "content": WIDE}))
    screen = {"viewport": {"width": 360, "height": 640}}
    _, window = await show([Text(WIDE), write], "Done.", screen=screen)
    page = window.page
    await say(page, WIDE)
    await page.wait_for_selector(".past .commit")
    await page.click(f"[data-view={view}]")
    await page.wait_for_selector({"chat": ".past", "changes": ".sides", "graph": ".node"}[view])
    wide = """() => [document.documentElement, document.getElementById('view')]
        .map((e) => e.scrollWidth - e.clientWidth)"""
    assert await page.evaluate(wide) == [0, 0]
    await page.click("#menu")
    await page.wait_for_selector("body.open .session:visible")


@pytest.mark.slow
async def test_arabic_reads_from_right_to_left(show):
    _, window = await show("مرحبا بالعالم")
    page = window.page
    await say(page, "سلام")
    await page.wait_for_selector(".past .prose p")
    at_right = """(e) => { const r = document.createRange(); r.selectNodeContents(e);
        return e.getBoundingClientRect().right - r.getBoundingClientRect().right < 2 }"""
    assert await page.locator(".past .prose p").evaluate(at_right)


@pytest.mark.slow
async def test_every_control_has_a_name_and_is_reached_by_tab(show):
    _, window = await show(WRITE, "Done.")
    page = window.page
    await say(page, "write it")
    await page.wait_for_selector(".past .commit")
    nameless = """() => [...document.querySelectorAll("button, input, textarea, select")]
        .filter((e) => e.checkVisibility())
        .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length || e.title))
        .map((e) => e.outerHTML)"""
    assert await page.evaluate(nameless) == []
    seen = set()
    for _ in range(40):
        await page.keyboard.press("Tab")
        seen.add(
            await page.evaluate(
                "() => document.activeElement.id || document.activeElement.textContent.slice(0, 8)"
            )
        )
    assert {"new", "Land", "words", "Graph"} <= seen
