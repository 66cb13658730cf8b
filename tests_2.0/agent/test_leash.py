"""Other people's programs as the agent: the real ones, a scripted model, our server between.

`npm install --prefix tests_2.0/clients` puts them where they are looked for.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import checkout
import orjson
import pytest

from mlxk.chat.types import Finish, Start, TextDelta, ToolUseDelta, ToolUseStart, Usage
from mlxk.contract.errors import ProviderAuth
from mlxk.contract.validate import problems

INSTALLED = Path(__file__).parent.parent / "clients" / "node_modules" / ".bin"
MLXK = str(Path(sys.executable).with_name("mlxk"))
SHELLS = {"Bash": "command", "exec_command": "cmd", "run_shell_command": "command"}
HELLO = "printf 'Hello world\\n' > hello.txt"
needs_bubblewrap = pytest.mark.skipif(not shutil.which("bwrap"), reason="no bubblewrap here")


class Typist:
    """Calls the program's own shell with one command after the other, then says it is done."""

    def __init__(self, *commands):
        self.commands = list(commands)
        self.requests = []

    async def stream(self, request):
        self.requests.append(request)
        number = len(self.requests)
        yield Start(f"msg_{number}", request.model)
        shell = next((tool.name for tool in request.tools if tool.name in SHELLS), None)
        if shell is None or not self.commands:
            yield TextDelta("It is done.")
            yield Finish("stop", Usage(20, 4, 10))
            return
        arguments = orjson.dumps({SHELLS[shell]: self.commands.pop(0)}).decode()
        yield TextDelta("I write it.")
        yield ToolUseStart(f"call_{number}", shell)
        yield ToolUseDelta(arguments)
        yield Finish("tool_use", Usage(10, 9))


class Locked:
    """A provider that does not know our key."""

    def __init__(self):
        self.requests = []

    async def stream(self, request):
        self.requests.append(request)
        raise ProviderAuth("the key is not valid")
        yield


class Agent:
    """`mlxk agent --leash …` as a process, in a repository of its own."""

    def __init__(self, repo, url, home):
        self.repo, self.home = repo, home
        self._url = url
        self._env = os.environ | {"PATH": f"{INSTALLED}{os.pathsep}{os.environ['PATH']}"}

    async def start(self, program, *argv, **env):
        if not shutil.which(program, path=self._env["PATH"]):
            pytest.skip(f"{program} is not installed")
        return await asyncio.create_subprocess_exec(
            *(MLXK, "agent", "--leash", program, "--url", self._url, "--model", "tiny"),
            *(*argv, "--json"),
            cwd=self.repo,
            env=self._env | env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def end(self, process):
        try:
            out, err = await asyncio.wait_for(process.communicate(), 90)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert b"Traceback" not in err, err.decode()
        value = orjson.loads(out)
        assert not problems("agent", value)
        return value, process.returncode

    async def run(self, program, *argv, **env):
        return await self.end(await self.start(program, *argv, **env))


@pytest.fixture
async def leashed(serve, home, tmp_path):
    """Give it a model: an agent whose programs talk to that."""

    async def make(model):
        http = await serve({"tiny": model})
        repo = checkout.make(tmp_path / "repo", files={"a.txt": "one\n"})
        return Agent(repo, f"{str(http._base_url).rstrip('/')}/v1", home)

    return make


@pytest.mark.parametrize("program", ["claude", "codex", "gemini"])
async def test_a_program_works_like_our_own_agent(leashed, program):
    agent = await leashed(Typist(HELLO))
    before = checkout.fingerprint(agent.repo)
    value, code = await agent.run(program, "Create hello.txt", "--temperature", "0")
    data = value["data"]
    assert (code, data["stop_reason"], data["result"]) == (0, "finished", "It is done.")
    assert [call["ok"] for call in data["tool_calls"]] == [True]
    assert data["commits"][-1]["files"] == ["hello.txt"]
    assert checkout.git(agent.repo, "show", f"{data['branch']}:hello.txt") == "Hello world"
    assert data["usage"] == {
        "input_tokens": 30,
        "output_tokens": 13,
        "cached_tokens": 10,
        "peak_context": 24,
    }
    assert checkout.fingerprint(agent.repo) == before
    # Nothing of the program is left in the user's home.
    assert {path.name for path in agent.home.iterdir()} <= {".mlxk", "hf"}


async def test_the_conversation_goes_on(leashed):
    model = Typist(HELLO)
    agent = await leashed(model)
    await agent.run("codex", "Create hello.txt", "--branch", "greet")
    model.commands = ["echo more >> hello.txt"]
    value, code = await agent.run("codex", "--resume", "greet", "Add a line")
    assert code == 0
    said = [message.text for message in model.requests[-1].messages if message.role == "user"]
    assert said[-2:] == ["Create hello.txt", "Add a line"]
    shown = subprocess.run(
        [MLXK, "branch", "show", "greet", "--json"], cwd=agent.repo, capture_output=True, check=True
    )
    roles = [message["role"] for message in orjson.loads(shown.stdout)["data"]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant"] * 2
    assert value["data"]["files_changed"][0]["additions"] == 1
    folder = agent.home / ".mlxk" / "leash" / value["data"]["session"]
    assert folder.is_dir()
    for argv in (["rm", "greet", "--force"], ["prune", "--older-than", "0"]):
        subprocess.run([MLXK, "branch", *argv], cwd=agent.repo, check=True)
    assert not folder.exists()


async def test_a_check_that_fails_goes_back_to_the_program(leashed):
    agent = await leashed(Typist("echo wrong > hello.txt"))
    value, code = await agent.run(
        "codex", "Create hello.txt", "--check", "grep -q right hello.txt", "--max-turns", "6"
    )
    assert (code, value["error"]["type"]) == (3, "check_failed")
    assert value["data"]["check"]["attempts"] > 1


async def test_a_spent_budget_ends_the_program(leashed):
    agent = await leashed(Typist(*[f"echo {n} > {n}.txt" for n in range(20)]))
    value, code = await agent.run("codex", "Count", "--max-turns", "3")
    assert (code, value["error"]["type"]) == (4, "limit_reached")
    assert value["error"]["details"]["budget"] == "turns"
    assert value["data"]["turns"] == 3
    assert {f["path"] for f in value["data"]["files_changed"]} == {"0.txt", "1.txt", "2.txt"}


async def test_a_program_that_can_never_be_answered_is_ended(leashed):
    model = Locked()
    agent = await leashed(model)
    value, code = await agent.run("claude", "Create hello.txt")
    assert (code, value["error"]["type"]) == (1, "provider_auth")
    assert len(model.requests) == 1


async def test_a_signal_ends_all_of_it_and_keeps_the_work(leashed):
    agent = await leashed(Typist(HELLO, "echo half > half.txt; sleep 1234.5"))
    process = await agent.start("codex", "Create hello.txt")
    worktrees = agent.home / ".mlxk" / "worktrees"
    for _ in range(600):
        if any(worktrees.glob("*/*/half.txt")):
            break
        await asyncio.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    value, code = await agent.end(process)
    assert (code, value["error"]["type"]) == (143, "interrupted")
    assert {f["path"] for f in value["data"]["files_changed"]} == {"hello.txt", "half.txt"}
    # In brackets, or the pattern would find itself.
    assert subprocess.run(["pgrep", "-f", "sleep 1234[.]5"], check=False).returncode == 1


@needs_bubblewrap
async def test_a_program_is_confined_and_sees_no_secret(leashed, tmp_path):
    outside = tmp_path / "outside.txt"
    agent = await leashed(Typist(f"env > seen.txt; echo x > {outside}"))
    value, code = await agent.run("codex", "Look", HF_TOKEN="hf_secret", AWS_SECRET="aws_secret")
    assert code == 0
    seen = checkout.git(agent.repo, "show", f"{value['data']['branch']}:seen.txt")
    assert "PATH=" in seen
    assert not {word for word in ("hf_secret", "aws_secret") if word in seen}
    assert not outside.exists()


def test_a_model_without_room_for_the_programs_prompt_is_refused(home, tmp_path, tiny_model):
    repo = checkout.make(tmp_path / "repo", files={"a.txt": "one\n"})
    (bin := tmp_path / "bin").mkdir()
    (bin / "gemini").write_text("#!/bin/sh\ntouch started\n")
    (bin / "gemini").chmod(0o755)
    done = subprocess.run(
        [MLXK, "agent", "--leash", "gemini", "--model", str(tiny_model("qwen3")), "x", "--json"],
        cwd=repo,
        env=os.environ | {"PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        check=False,
    )
    value = orjson.loads(done.stdout)
    assert value["error"]["type"] == "context_length_exceeded"
    assert "2400 tokens" in value["error"]["message"]
    assert value["data"]["files_changed"] == []


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--leash", "emacs", "x"], "invalid_value"),
        (["--leash", "claude", "--tools", "Read", "x"], "usage_error"),
        (["--leash", "claude", "--permissions", "read", "x"], "usage_error"),
        (["--leash", "claude", "--dry-run", "x"], "usage_error"),
        (["--leash", "claude", "x"], "harness_missing"),
    ],
)
def test_what_cannot_be_is_said_before_anything_begins(home, tmp_path, argv, expected):
    repo = checkout.make(tmp_path / "repo", files={"a.txt": "one\n"})
    before = checkout.git(repo, "for-each-ref")
    done = subprocess.run(
        [MLXK, "agent", *argv, "--json"],
        cwd=repo,
        env=os.environ | {"PATH": "/nonexistent"},
        capture_output=True,
        check=False,
    )
    error = orjson.loads(done.stdout)["error"]
    assert error["type"] == expected
    assert error["hint"]
    assert checkout.git(repo, "for-each-ref") == before
