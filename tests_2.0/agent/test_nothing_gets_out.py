"""No tool reaches what is not in the worktree; no secret reaches a child, a commit or a log."""

import asyncio
import os
import socket
import stat
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import checkout
import orjson
import pytest

from mlxk.agent import confine
from mlxk.agent.calls import Caller
from mlxk.agent.confine import Confinement
from mlxk.agent.events import Sender
from mlxk.agent.job import Job, Order
from mlxk.agent.lsp import SPEC, _Servers
from mlxk.agent.permissions import Gate, Permissions
from mlxk.agent.scribe import Scribe
from mlxk.agent.settings import Settings, to_meta
from mlxk.agent.tools import BUILTIN
from mlxk.agent.tools.base import AgentTool, Context, Limits
from mlxk.agent.workspace import Workspace
from mlxk.chat.scripted import Scripted, call
from mlxk.chat.types import ToolUse
from mlxk.history.session import Session
from mlxk.history.store import Store
from mlxk.system import clock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = "-".join(("sk", "ant", "api03", "Ab1" * 12))


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    (tmp_path / "secret.txt").write_text("outside\n")
    (root / "plain.txt").write_text("inside\n")
    (root / ".git").write_text("gitdir: elsewhere\n")
    os.link(tmp_path / "secret.txt", root / "hard")
    os.mkfifo(root / "fifo")
    (root / "out").symlink_to(tmp_path / "secret.txt")
    (root / "up").symlink_to(tmp_path)
    (root / "dangling").symlink_to("nowhere")
    (root / "dangling-out").symlink_to(tmp_path / "nowhere")
    (root / "zero").symlink_to("/dev/zero")
    # A socket's path may be 108 bytes long: it is made where it is by a short name.
    here = Path.cwd()
    os.chdir(root)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
    os.chdir(here)
    return root


@pytest.fixture
def refused(tree):
    """Whether a call was refused; whatever it did, what is outside is as it was."""

    def run(name, **arguments):
        workspace = Workspace.at(tree)
        loose = Confinement("none", workspace.root)
        context = Context(workspace, loose, Limits(timeout_s=5), lambda _: None)
        language = AgentTool(SPEC, _Servers(loose, workspace.root, {}).run, reads_only=True)
        tools = [*BUILTIN.values(), language]
        sender = Sender(lambda _: None, "s", clock.now)
        caller = Caller(tools, context, sender, Gate(Permissions(), sender, None))
        done = []
        use = ToolUse("1", name, orjson.dumps(arguments).decode())
        asyncio.run(caller.run((use,), done))
        assert (tree.parent / "secret.txt").read_text() == "outside\n"
        assert not (tree / "nowhere").exists()
        assert "outside\n" not in done[0].result.text
        return done[0].result.text.startswith("Error: ")

    return run


PATHS = [
    "../secret.txt", "/etc/passwd", "out", "up/secret.txt", ".git", ".GIT", "x/../.git/config",
    "hard", "fifo", "socket", "zero", "dangling", "dangling-out",
]  # fmt: skip
CALLS = {
    "Read": {},
    "Write": {"content": "x"},
    "Edit": {"old_string": "outside", "new_string": "x"},
    "Grep": {"pattern": "outside"},
    "Find": {"pattern": "*"},
    "Ls": {},
    "Lsp": {"action": "diagnostics"},
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("tool", CALLS)
def test_a_path_that_is_not_a_file_of_the_worktree_is_refused(refused, tool, path):
    assert refused(tool, path=path, **CALLS[tool])


def test_what_lies_in_the_way_of_a_search_is_not_shown(refused):
    assert not refused("Grep", pattern="outside|inside")
    assert not refused("Find", pattern="*")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_no_file(refused, tree):
    try:
        os.mknod(tree / "device", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("no devices here")
    assert all(refused(tool, path="device", **CALLS[tool]) for tool in CALLS)


confined = pytest.mark.skipif(confine._kind() == "none", reason="nothing confines here")


@pytest.fixture
def session(home, tmp_path):
    repo = checkout.make(tmp_path / "repo")
    with (
        Store.open(repo, home / ".mlxk") as store,
        Session.create(store, to_meta(Settings("scripted")), name="work", when=NOON) as session,
    ):
        yield session


@pytest.fixture
def bash(session):
    """Run a command as the agent does; gives its output."""

    async def run(command, check=None, **fields):
        use = call("Bash", orjson.dumps({"command": command}).decode())
        run.model = Scripted(use, "Done.")
        settings = replace(Settings("scripted"), **fields)
        with Scribe(session.record.store) as scribe:
            job = Job(session, scribe, run.model, settings, now=lambda: NOON)
            run.ended = await job.run(Order("do it", check))
        return run.model.requests[1].messages[-1].parts[0].text

    return run


@confined
async def test_bash_writes_in_the_worktree_only(bash, session, tmp_path, home):
    for place in (
        tmp_path / "made",
        home / "made",
        "/usr/made",
        f"{session.record.store.root}/made",
    ):
        await bash(f"echo x > {place}")
        assert not Path(place).exists()
    assert await bash("echo x > made; cat made") == "x\n"
    assert (session.worktree / "made").exists()
    assert bash.ended.report.confinement != "none"


@confined
async def test_bash_finds_no_network_and_no_keys(bash, home):
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_ed25519").write_text("private\n")
    (home / ".netrc").write_text("password\n")
    assert "private" not in await bash("cat ~/.ssh/*; cat ~/.netrc")
    assert "password" not in await bash("cat ~/.netrc")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
        reach = f'{sys.executable} -c "{program}"'
        assert "exit code" in await bash(reach)
        assert await bash(reach, network=True) == "(no output)"


async def test_no_child_sees_a_secret_of_ours(bash, session, monkeypatch):
    monkeypatch.setenv("SOME_SERVICE_TOKEN", KEY)
    monkeypatch.setenv("MLXK_API_KEY", "another-secret-value")
    await bash("env > bash.env", check="env > check.env")
    seen = (session.worktree / "bash.env").read_text() + (
        session.worktree / "check.env"
    ).read_text()
    assert "PATH=" in seen
    assert KEY not in seen
    assert "another-secret-value" not in seen


async def test_what_looks_like_a_key_is_in_no_commit_message(bash, session):
    await bash(f"echo {KEY} > .env; cat .env")
    log = checkout.git(session.worktree, "log", "--format=%B", "--all")
    assert KEY not in log
    assert KEY not in bash.model.requests[1].messages[-1].parts[0].text


async def test_a_library_run_gives_its_children_no_more(home, tmp_path, monkeypatch):
    from mlxk.agent import Agent

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    repo = checkout.make(tmp_path / "library")
    model = Scripted(call("Bash", '{"command": "env > seen"}'), "Done.")
    report = await Agent(model=model, folder=repo).run("look")
    assert KEY not in checkout.git(repo, "show", f"{report.branch}:seen")
