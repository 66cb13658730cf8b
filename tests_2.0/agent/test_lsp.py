"""The Lsp tool asks a real language server, and is not hurt by one that misbehaves."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from waiting import happens

from mlxk.agent import lsp
from mlxk.agent.calls import Caller
from mlxk.agent.confine import confinement
from mlxk.agent.events import Sender
from mlxk.agent.permissions import Gate, Permissions
from mlxk.agent.tools.base import Context, Limits
from mlxk.agent.workspace import Workspace
from mlxk.chat.types import ToolUse
from mlxk.system import clock

BROKEN = "import sys; sys.stdin.readline(); print('hello', flush=True)"
SILENT = "import sys; sys.stdin.read()"
# An answer to the greeting that says nothing of what the server can do.
EMPTY = """import sys
answer = '{"jsonrpc": "2.0", "id": 1, "result": null}'
print(f"Content-Length: {len(answer)}", "", answer, sep="\\r\\n", end="", flush=True)
sys.stdin.read()"""


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "shapes.py").write_text(
        'NAME = "ä𝄞"; area = 1\n\n\ndef square(side):\n    return side\n'
    )
    (root / "use.py").write_text("import shapes\n\nx: int = shapes.square(2)\ny: int = 'no'\n")
    return root


@pytest.fixture
def ask(tree):
    async def run(*questions, named=None, timeout_s=60):
        workspace = Workspace.at(tree)
        limits = Limits(timeout_s=timeout_s)
        confined = confinement(workspace.root)
        context = Context(workspace, confined, limits, lambda _: None)
        sender = Sender(lambda _: None, "s", clock.now)
        done = []
        async with lsp.opened(confined, workspace.root, named or {}) as tool:
            caller = Caller([tool], context, sender, Gate(Permissions(), sender, None))
            for question in questions:
                if callable(question):
                    question()
                else:
                    use = ToolUse("1", "Lsp", orjson.dumps(question).decode())
                    await caller.run((use,), done)
        return [outcome.result.text for outcome in done]

    return run


def about(action, path, **more):
    return {"action": action, "path": path, **more}


async def test_a_language_server_knows_the_code(ask, tree):
    def mend():
        (tree / "use.py").write_text("import shapes\n\nx: int = shapes.square(2)\n")

    wrong, defined, used, after = await ask(
        about("diagnostics", "use.py"),
        about("definition", "use.py", symbol="square"),
        about("references", "shapes.py", symbol="square", line=4),
        mend,
        about("diagnostics", "use.py"),
    )
    assert wrong.startswith("use.py:4: error: ")
    assert defined == "shapes.py:4: def square(side):"
    assert set(used.splitlines()) == {
        "shapes.py:4: def square(side):",
        "use.py:3: x: int = shapes.square(2)",
    }
    assert after == "No problems."


async def test_what_cannot_be_asked_is_said(ask, tree):
    (tree / "notes.xyz").write_text("x")
    texts = await ask(
        about("diagnostics", "notes.xyz"),
        about("diagnostics", "../outside.py"),
        about("definition", "use.py"),
        about("definition", "use.py", symbol="nowhere"),
        named={".py": (sys.executable, "-c", SILENT)},
        timeout_s=0.5,
    )
    assert texts[0] == "Error: no language server for .xyz files here (none is known)"
    assert texts[1].startswith("Error: path is outside")
    assert texts[2:] == [
        "Error: name the symbol, and the line if it occurs on several",
        "Error: 'nowhere' is not in the file",
    ]


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (BROKEN, "the language server"),
        ("raise SystemExit(3)", "the language server has ended"),
        (SILENT, "took longer than 0.5 s"),
        (EMPTY, "the language server's answer cannot be read"),
    ],
    ids=["no protocol", "ends at once", "never answers", "answers nothing"],
)
async def test_a_bad_server_costs_its_call_only(ask, program, says):
    server = {".py": (sys.executable, "-c", program)}
    seconds = 0.5 if program == SILENT else 20
    (text,) = await ask(about("diagnostics", "use.py"), named=server, timeout_s=seconds)
    assert says in text


async def test_a_server_ends_with_the_run(ask):
    program = f"import sys, time; sys.stdin.readline(); time.sleep(40000) # {Path.cwd()}"
    await ask(
        about("diagnostics", "use.py"), named={".py": (sys.executable, "-c", program)}, timeout_s=1
    )
    pattern = ["pgrep", "-f", "time.sleep.40000"]
    await happens(lambda: subprocess.run(pattern, check=False).returncode == 1)
