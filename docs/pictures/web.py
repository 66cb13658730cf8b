"""Pictures of the web UI: a repository, a model that says what it was told, a browser.

python docs/pictures/web.py            needs playwright and chromium; writes the files beside it
"""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import Browser, Page, async_playwright

from mlxk.agent.compose import Model
from mlxk.agent.desk import Desk
from mlxk.agent.desk_tab import Tab
from mlxk.agent.settings import Settings
from mlxk.chat.scripted import Scripted, Turn, call
from mlxk.chat.types import Event, Finish, Request, Text, TextDelta, Thinking, ToolUse, Usage
from mlxk.web.app import listening, make_app

HERE = Path(__file__).parent
SIZE = {"width": 1280, "height": 800}

CLI = """\
import argparse


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    args = parser.parse_args()
    print(f"Hello, {args.name}!")


if __name__ == "__main__":
    main()
"""
FLAG = '    parser.add_argument("--version", action="version", version=__version__)\n'
TEST = """\
import subprocess
import sys


def test_version():
    done = subprocess.run([sys.executable, "cli.py", "--version"], capture_output=True)
    assert done.stdout.strip() == b"1.2.0"
"""
_numbers = iter(range(1, 1000))


def tool(name: str, **arguments: str) -> ToolUse:
    return call(name, json.dumps(arguments), f"call_{next(_numbers)}")


ADD = "Add a --version flag to the command line"
METADATA = "Take the version from the installed package instead"
TESTED = "Also add a test for it"
README = "Write a README"
EXPLAIN = "How does argparse know when to print the version?"
SCRIPT: dict[str, list[Turn]] = {
    ADD: [
        [
            Thinking("A version flag: first look at the entry point, then add an argument."),
            Text("I'll look at the entry point first."),
            tool("Read", path="cli.py"),
        ],
        [
            Text("Now the flag, and one place for the version:"),
            tool(
                "Edit",
                path="cli.py",
                old_string='    parser.add_argument("name")\n',
                new_string=f'    parser.add_argument("name")\n{FLAG}',
            ),
            tool(
                "Edit",
                path="cli.py",
                old_string="import argparse\n",
                new_string="import argparse\n\nfrom version import __version__\n",
            ),
            tool("Write", path="version.py", content='__version__ = "1.2.0"\n'),
        ],
        [tool("Bash", command="python cli.py --version")],
        "`--version` prints the version.\n\n- **cli.py** takes the flag with argparse's own "
        "`version` action\n- **version.py** is the one place for the number\n\n"
        "```console\n$ python cli.py --version\n1.2.0\n```",
    ],
    METADATA: [
        [
            Text("The installed package knows its version; the extra file can go."),
            tool("Bash", command="rm version.py"),
            tool(
                "Edit",
                path="cli.py",
                old_string="from version import __version__",
                new_string="from importlib.metadata import version",
            ),
            tool(
                "Edit",
                path="cli.py",
                old_string="version=__version__",
                new_string='version=version("greet")',
            ),
        ],
        "Done: the number comes from the installed package.",
    ],
    TESTED: [[tool("Write", path="test_cli.py", content=TEST)], "There is a test now."],
    README: [[tool("Write", path="README.md", content="# greet\n\nSays hello.\n")], "Done."],
    EXPLAIN: [
        "The `version` **action** is built in. When the parser meets the flag it\n\n"
        "1. formats the `version` string it was given,\n"
        "2. prints it to standard output, and\n"
        "3. leaves with exit code 0, before positional arguments are missed.\n\n" * 3
    ],
}


class Told:
    """Answers each prompt by the script; `pause_s` after each word."""

    pause_s = 0.0

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        last = max(n for n, message in enumerate(request.messages) if message.role == "user")
        turn = sum(message.role == "assistant" for message in request.messages[last:])
        answer = SCRIPT[request.messages[last].text][turn]
        async for event in Scripted(answer).stream(request):
            match event:
                case TextDelta(text):
                    for word in text.split(" "):
                        yield TextDelta(f"{word} ")
                        await asyncio.sleep(self.pause_s)
                case Finish(reason):
                    read = 1480 + 340 * len(request.messages)
                    yield Finish(reason, Usage(read, 96 + 31 * turn, read - 290))
                case _:
                    yield event


@asynccontextmanager
async def desk_over(folder: Path, home: Path, model: Told) -> AsyncIterator[Desk]:
    async def ready() -> int:
        return 32_768

    @asynccontextmanager
    async def opener(_: Settings) -> AsyncIterator[Model]:
        yield Model(model, ready=ready)

    async with Desk(folder, Settings("Qwen3-4B-4bit"), home=home, opener=opener) as desk:
        yield desk


def repository(folder: Path) -> Path:
    folder.mkdir()
    (folder / "cli.py").write_text(CLI)
    (folder / ".gitignore").write_text("__pycache__/\n")
    for line in (
        "init -q -b main",
        "config user.name You",
        "config user.email you@example.org",
        "add -A",
        "commit -qm greet",
    ):
        subprocess.run(["git", "-C", str(folder), *line.split()], check=True)
    return folder


async def history(desk: Desk) -> Tab:
    """Four sessions: one with two forks, one that has landed."""
    first = await done(desk.new(), ADD)
    middle = await desk.fork(first.session or "", step=5, name="from-metadata")
    await done(middle, METADATA)
    await done(first, TESTED)
    last = await desk.fork(middle.session or "", name="metadata-tested")
    await done(last, TESTED)
    readme = await done(desk.new(), README)
    await readme.land()
    return first


async def done(tab: Tab, prompt: str) -> Tab:
    tab.submit(prompt)
    await tab.wait()
    return tab


async def shoot(page: Page, name: str) -> None:
    await page.wait_for_timeout(400)
    await page.screenshot(path=HERE / f"{name}.png")
    print(f"{name}.png")


async def window(browser: Browser, link: str, scheme: str) -> Page:
    dark = scheme == "dark"
    context = await browser.new_context(
        viewport={"width": SIZE["width"], "height": SIZE["height"]},
        device_scale_factor=1.5,
        color_scheme="dark" if dark else "light",
    )
    page = await context.new_page()
    await page.goto(link)
    await page.wait_for_selector("#status .dot.ok")
    return page


async def pictures(page: Page, scheme: str, tab: Tab, model: Told) -> None:
    await page.click(f"[data-session='{tab.session}']")
    await page.click(".past .call:has-text('Bash') summary")
    model.pause_s = 0.06
    await page.fill("#words", EXPLAIN)
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".live .prose code")
    await shoot(page, f"web-{scheme}")
    model.pause_s = 0
    await tab.wait()
    await page.wait_for_selector("#composer .danger", state="hidden")
    await page.click("[data-view=graph]")
    await page.click(".node >> nth=5")
    if scheme == "dark":
        return await shoot(page, "web-graph")
    await page.click("[data-view=changes]")
    return await shoot(page, "web-changes")


async def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("chromium is not installed")
    model = Told()
    with TemporaryDirectory() as root:
        folder = repository(Path(root) / "greet")
        async with desk_over(folder, Path(root) / "home", model) as desk:
            tab = await history(desk)
            app = make_app(desk)
            async with listening(app, 0) as address, async_playwright() as driver:
                browser = await driver.chromium.launch(
                    executable_path=chromium, args=["--no-sandbox"]
                )
                page = await window(browser, address.link, "light")
                await pictures(page, "light", tab, model)
                await tab.undo()
                link = await page.evaluate(
                    """() => fetch("/api/link", {method: "POST", body: "{}", headers:
                    {"X-Mlxk": localStorage.mlxk, "Content-Type": "application/json"}})
                    .then((r) => r.json()).then((v) => v.url)"""
                )
                await pictures(await window(browser, link, "dark"), "dark", tab, model)
                await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
