"""Draw `mlxk agent` on a full screen, dark and light, for the README: terminal-*.svg beside it.

A scripted model plays a short session; everything else is the program as it is.
"""

import asyncio
import json
import re
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlxk.agent.compose import Model
from mlxk.agent.desk import Desk
from mlxk.agent.settings import Settings
from mlxk.chat.scripted import Scripted, Turn, call
from mlxk.chat.types import Event, Finish, Request, Text, Thinking, Usage
from mlxk.tui.app import Terminal
from mlxk.tui.editor import Editor
from mlxk.tui.face import Opening

if TYPE_CHECKING:
    from textual.pilot import Pilot

OUT = Path(__file__).parent
SIZE = (92, 29)
BEFORE = "def greet(name):\n    return 'hello ' + name\n"
TEST = """from greet import greet

assert greet(" Ada ") == "Hello, Ada!"
assert greet("  ") == "Hello, you!"
print("2 passed")
"""
RUN = "python test_greet.py"
THOUGHT = "The test wants a trimmed name and a greeting for nobody. I look at the function first."
WORDS = (
    "`greet` trims the name now, and says **you** when there is none:\n\n"
    "```python\ndef greet(name):\n    name = name.strip() or 'you'\n"
    "    return f'Hello, {name}!'\n```\n"
)
TURNS: tuple[Turn, ...] = (
    [
        Thinking(THOUGHT),
        Text("I look at the function and its test."),
        call("Read", '{"path": "greet.py"}', "call_1"),
    ],
    call(
        "Edit",
        json.dumps(
            {
                "path": "greet.py",
                "old_string": "    return 'hello ' + name",
                "new_string": "    name = name.strip() or 'you'\n    return f'Hello, {name}!'",
            }
        ),
        "call_2",
    ),
    call("Bash", json.dumps({"command": RUN}), "call_3"),
    WORDS,
    [Text("The same with a lookup table."), call("Bash", '{"command": "sleep 60"}', "call_4")],
)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for light in (False, True):
            name = f"terminal-{'light' if light else 'dark'}.svg"
            (OUT / name).write_text(await _drawn(Path(folder) / name, light=light))


class Playing(Scripted):
    """Counts tokens as a model would."""

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        async for event in super().stream(request):
            size = 1_800 + sum(len(m.text) for m in request.messages) // 3
            usage = Usage(size + 400 * len(request.messages), 120)
            yield replace(event, usage=usage) if isinstance(event, Finish) else event


def _repository(folder: Path) -> Path:
    repository = folder / "greeter"
    repository.mkdir(parents=True)
    (repository / "greet.py").write_text(BEFORE)
    (repository / "test_greet.py").write_text(TEST)
    (repository / ".gitignore").write_text("__pycache__\n")
    git = ["git", "-C", str(repository), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for argv in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *argv], check=True)
    return repository


async def _drawn(folder: Path, *, light: bool) -> str:
    repository, model = _repository(folder), Playing(*TURNS)

    async def context() -> int:
        return 40_960

    @asynccontextmanager
    async def opener(_: Settings) -> AsyncGenerator[Model, None]:
        yield Model(model, ready=context)

    desk = Desk(repository, Settings("Qwen3-4B-4bit"), opener=opener, home=folder / "home")
    app = Terminal(Opening(lambda: desk, light=light))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.5)
        await _say(app, pilot, "make the tests pass")
        await app.tab.wait()
        await pilot.pause(0.5)
        await _say(app, pilot, "/branch --turn 1 now with a lookup table")
        await pilot.pause(1.5)
        await pilot.press("alt+1")
        await pilot.pause(0.5)
        app.query_one(Editor).put("/land --branch polite-greeting")
        await pilot.pause(0.3)
        picture = app.export_screenshot(title="mlxk agent")
        await desk.close()
    # No font from elsewhere: every glyph has its place and width anyway.
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)


async def _say(app: Terminal, pilot: "Pilot[None]", text: str) -> None:
    app.query_one(Editor).put(text)
    await pilot.press("enter")
    await pilot.pause(0.5)


if __name__ == "__main__":
    asyncio.run(main())
