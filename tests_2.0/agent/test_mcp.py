"""MCP servers, real ones: their tools are called, and nothing that they do harms the run."""

import os
import socket
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import checkout
import mcp_server
import orjson
import pytest

from mlxk.agent import mcp_tools
from mlxk.agent.calls import Caller
from mlxk.agent.confine import Confinement
from mlxk.agent.events import Sender
from mlxk.agent.permissions import Gate, Permissions
from mlxk.agent.settings import McpServer
from mlxk.agent.tools.base import Context, Limits
from mlxk.agent.workspace import Workspace
from mlxk.chat.types import ToolUse
from mlxk.contract.errors import InvalidValue, StartFailed
from mlxk.system import clock

PROGRAM = (sys.executable, str(Path(mcp_server.__file__)))
USUAL = (Permissions(),)
LOCAL = McpServer("local", command=PROGRAM, timeout_s=20.0)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


@pytest.fixture
def calls(folder):
    """Open servers, make calls; gives the texts of their results, and the outcomes."""

    async def run(server, *uses, permissions=USUAL, env=os.environ):
        workspace = Workspace.at(folder)
        limits = Limits(timeout_s=20, output_bytes=2000)
        context = Context(workspace, Confinement("none", workspace.root), limits, lambda _: None)
        sender = Sender(lambda _: None, "s", clock.now)
        async with mcp_tools.opened([server], folder, env) as tools:
            run.names = [tool.spec.name for tool in tools]
            run.outcomes = []
            for rules, (name, arguments) in product(permissions, uses):
                caller = Caller(tools, context, sender, Gate(rules, sender, None))
                use = ToolUse("1", f"mcp__{server.name}__{name}", orjson.dumps(arguments).decode())
                await caller.run((use,), run.outcomes)
        return [outcome.result.text for outcome in run.outcomes]

    return run


async def test_a_command_is_a_server(calls, folder):
    assert await calls(LOCAL, ("echo", {"text": "hello"}), ("write", {"path": "a.txt"})) == [
        "hello",
        "wrote a.txt",
    ]
    assert calls.names[:2] == ["mcp__local__echo", "mcp__local__variable"]
    assert (folder / "a.txt").read_text() == "by mcp\n"
    assert calls.outcomes[1].changed is None


@pytest.fixture
def http():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([*PROGRAM, "http", str(port)], stderr=subprocess.DEVNULL) as child:
        for _ in range(200):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield McpServer("far", url=f"http://127.0.0.1:{port}/mcp", key_env="FAR_KEY")
        child.kill()


async def test_a_url_is_a_server(calls, http):
    env = {"FAR_KEY": "sesame-open"}
    assert await calls(http, ("echo", {"text": "hi sesame-open"}), env=env) == ["hi [redacted]"]


@pytest.mark.slow
async def test_only_the_tools_that_are_named_are_offered(calls):
    await calls(McpServer("local", command=PROGRAM, tools=("echo",)))
    assert calls.names == ["mcp__local__echo"]


async def test_what_a_tool_cannot_do_is_a_result(calls):
    texts = await calls(LOCAL, ("fail", {}), ("echo", {}), ("echo", {"text": "x" * 5000}))
    assert "it broke" in texts[0]
    assert texts[1] == "Error: arguments: 'text' is a required property"
    assert texts[2].endswith("more bytes; ask for less]")
    assert [outcome.record.ok for outcome in calls.outcomes] == [False, False, True]


async def test_what_a_server_says_on_stderr_fills_no_disk(calls):
    (kept,) = await calls(LOCAL, ("shout", {}))
    assert int(kept) < 1 << 20


async def test_a_server_that_dies_costs_its_calls_only(calls):
    began = time.monotonic()
    texts = await calls(LOCAL, ("die", {}), ("echo", {"text": "anyone?"}))
    assert all(text.startswith("Error: ") for text in texts)
    assert time.monotonic() - began < 15


@pytest.mark.slow
async def test_a_call_that_takes_too_long_is_given_up(calls):
    slow = McpServer("local", command=PROGRAM, timeout_s=0.5)
    texts = await calls(slow, ("nap", {"seconds": 30}), ("echo", {"text": "still here"}))
    assert texts == ["Error: nap timed out after 0.5 s", "still here"]


@pytest.mark.slow
async def test_a_server_sees_the_variables_that_are_named_and_no_others(calls):
    env = {**os.environ, "GIVEN_KEY": "given-secret", "OTHER_KEY": "other-secret"}
    server = McpServer("local", command=PROGRAM, env=("GIVEN_KEY",))
    ask = [("variable", {"name": name}) for name in ("GIVEN_KEY", "OTHER_KEY")]
    assert await calls(server, *ask, env=env) == ["[redacted]", "(none)"]


@pytest.mark.slow
async def test_what_a_server_starts_ends_with_it(calls):
    seconds = 30000 + os.getpid() % 10000
    await calls(LOCAL, ("breed", {"seconds": seconds}))
    for _ in range(50):
        if subprocess.run(["pgrep", "-f", f"^sleep {seconds}$"], check=False).returncode:
            return
        time.sleep(0.1)
    raise AssertionError("the child lives on")


RULES = [
    (Permissions("read"), False),
    (Permissions("ask"), False),
    (Permissions("read", allow=("mcp__local__*",)), True),
    (Permissions(deny=("mcp__local__echo",)), False),
    (Permissions(deny=("mcp__local__echo(*hi*)",)), False),
    (Permissions(deny=("mcp__local__echo(*secret*)",)), True),
]


async def test_rules_name_the_tools_of_servers(calls):
    sets = [permissions for permissions, _ in RULES]
    await calls(LOCAL, ("echo", {"text": "hi"}), permissions=sets)
    assert [outcome.record.ok for outcome in calls.outcomes] == [ok for _, ok in RULES]


@pytest.mark.parametrize(
    ("server", "error", "says"),
    [
        (McpServer("gone", command=("/no/such/program",)), StartFailed, "gone.*did not start"),
        (McpServer("bad", command=(*PROGRAM, "broken")), StartFailed, "cannot open the database"),
        (McpServer("far", url="http://127.0.0.1:9/mcp"), StartFailed, "far.*did not start"),
        (McpServer("key", url="http://x/mcp", key_env="UNSET_KEY"), InvalidValue, "UNSET_KEY"),
    ],
    ids=["no program", "broken", "nobody there", "no key"],
)
async def test_a_server_that_does_not_start_is_named(calls, server, error, says):
    with pytest.raises(error, match=says):
        await calls(server)


@pytest.mark.slow
async def test_a_silent_server_is_not_waited_for_for_ever(calls, monkeypatch):
    monkeypatch.setattr(mcp_tools, "_START_S", 0.5)
    monkeypatch.setattr(mcp_tools, "_END_S", 0.5)
    with pytest.raises(StartFailed, match=r"no answer in 0\.5 s"):
        await calls(McpServer("mute", command=(*PROGRAM, "silent")))


async def test_without_the_sdk_the_hint_is_the_line_that_installs_it(home, tmp_path):
    repo = checkout.make(tmp_path / "repo")
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text("import sys\nsys.modules['mcp'] = None\n")
    (repo / "x.yaml").write_text("mcp: {local: {command: [cat]}}\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("mlxk"), "agent", "--json", "--config", "x.yaml", "hi"],
        cwd=repo,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        check=False,
    )
    value = orjson.loads(done.stdout)
    assert value["error"]["type"] == "extra_missing"
    assert value["error"]["hint"] == "pip install 'mlxk[mcp]'"
    assert checkout.git(repo, "for-each-ref", "refs/heads/mlxk", "refs/mlxk") == ""
