"""A session as a file: whole, closed in itself, and nothing in it runs."""

import json
import os
from html.parser import HTMLParser

import browser as support
import checkout
import pytest

from mlxk.agent import Agent
from mlxk.chat.scripted import Scripted, call
from mlxk.chat.types import Text, Thinking
from mlxk.cli.web import write_page
from mlxk.history.record import find
from mlxk.history.store import Store
from mlxk.web.markup import el
from mlxk.web.rendered import rendered

HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script></pre>'


class Outline(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
async def found(home, tmp_path):
    """A store, and the place of a session that said hostile things."""
    repo = checkout.make(tmp_path / "repo")
    write = call("Write", json.dumps({"path": "a.txt", "content": f"two\n{HOSTILE}\n"}))
    missing = call("Read", '{"path": "b.txt"}', "call_2")
    model = Scripted([Thinking(HOSTILE), Text(HOSTILE), write, missing], f"Done.\ud800 {HOSTILE}")
    report = await Agent(model=model, folder=repo).run(f"do {HOSTILE}")
    with Store.open(repo, home / ".mlxk") as store:
        yield store, find(store, report.session)


@pytest.fixture
def page(found):
    return rendered(*found).decode()


def test_all_that_was_said_called_and_changed_is_there(page):
    outline = Outline(page)
    words = "".join(outline.words)
    assert words.count(HOSTILE) == 7  # asked, thought, said twice, written, and in both diffs
    assert "no such file: b.txt" in words
    assert ("td", {"class": "del"}) in outline.tags


async def test_a_call_id_that_comes_again_has_its_own_result(home, tmp_path):
    repo = checkout.make(tmp_path / "repo")
    reads = [[call("Read", f'{{"path": "{name}"}}', "call_0")] for name in ("one", "two")]
    report = await Agent(model=Scripted(*reads, "done"), folder=repo).run("read")
    with Store.open(repo, home / ".mlxk") as store:
        words = Outline(rendered(store, find(store, report.session)).decode()).words
    said = [word for word in words if "no such file" in word]
    assert ["one" in said[0], "two" in said[1], len(said)] == [True, True, 2]


def test_it_holds_no_script_and_nothing_from_elsewhere(page):
    tags = {tag for tag, _ in Outline(page).tags}
    assert not tags & {"script", "img", "iframe", "link", "object", "form", "a"}
    assert "default-src 'none'" in Outline(page).tags[3][1]["content"]


def test_of_the_pages_that_were_written_the_newest_are_kept(found, home):
    folder = home / ".mlxk" / "pages" / "other"
    folder.mkdir(parents=True)
    for number in range(60):
        page = folder / f"p-{number}.html"
        page.touch()
        os.utime(page, (number, number))
    new = write_page(*found)
    kept = sorted(str(page) for page in folder.parent.glob("*/*"))
    assert kept == sorted([new, *(str(folder / f"p-{n}.html") for n in range(11, 60))])


def test_text_and_attributes_are_escaped():
    assert el("p.x", "<&>", title='"<').text == '<p class="x" title="&quot;&lt;">&lt;&amp;&gt;</p>'


@pytest.mark.slow
@pytest.mark.skipif(support.CHROMIUM is None, reason="there is no chromium on this machine")
async def test_a_browser_shows_it_with_its_style(page, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(page)
    async with support.chromium() as browser, support.window(browser) as window:
        await window.page.goto(file.as_uri())
        paint = "getComputedStyle(document.querySelector('.msg.user')).borderRadius"
        assert await window.page.evaluate(paint) == "12px"
        assert window.complaints == []
