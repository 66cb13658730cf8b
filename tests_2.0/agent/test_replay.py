"""A session told again says what was said; run again it makes the same files, or says so."""

import subprocess
import sys
from pathlib import Path

import checkout
import orjson
import pytest

from mlxk.agent import Agent
from mlxk.chat.scripted import Scripted, call
from mlxk.contract.validate import problems

MLXK = str(Path(sys.executable).with_name("mlxk"))
WRITE = call("Write", '{"path": "n.txt", "content": "hi"}', "call_1")
LIST = call("Bash", '{"command": "ls > listing.txt; cat n.txt"}', "call_2")


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo")


@pytest.fixture
async def recorded(repo):
    """Two prompts, a file, a command, a call that fails."""
    model = Scripted("Hm.", (WRITE, LIST), call("Read", '{"path": "no"}', "call_3"), "Done.")
    async with Agent(model=model, folder=repo, branch_name="work") as agent:
        await agent.run("think")
        return await agent.run("write it")


def replay(repo, *argv):
    done = subprocess.run(
        [MLXK, "agent", "replay", "work", *argv], cwd=repo, capture_output=True, check=False
    )
    return [orjson.loads(line) for line in done.stdout.splitlines()], done.returncode


async def test_a_session_is_told_as_it_was(repo, recorded):
    (*heard, last), code = replay(repo, "--events")
    assert code == 0
    assert not [p for event in heard for p in problems("agent-event", event)]
    kinds = [event["type"] for event in heard]
    assert (kinds[0], kinds[-1]) == ("run.started", "run.finished")
    assert [e["turn"] for e in heard if e["type"] == "turn.started"] == [1, 2, 3, 4]
    finished = [e["data"] for e in heard if e["type"] == "tool.finished"]
    assert [(f["name"], f["ok"]) for f in finished] == [
        ("Write", True), ("Bash", True), ("Read", False),
    ]  # fmt: skip
    data = last["data"]
    assert (data["result"], data["head"], data["turns"]) == ("Done.", recorded.head, 4)
    assert [c["id"] for c in data["commits"]] == [c.id for c in recorded.commits]
    assert data["usage"]["input_tokens"] == 0


async def test_a_session_is_run_again_to_the_same_files(repo, recorded):
    before = checkout.fingerprint(repo)
    (last,), code = replay(repo, "--run", "--json")
    data = last["data"]
    assert (code, data["branch"], data["result"]) == (0, "mlxk/work-replay", "Done.")
    assert [f["path"] for f in data["files_changed"]] == ["listing.txt", "n.txt"]
    trees = [
        checkout.git(repo, "rev-parse", f"{head}^{{tree}}")
        for head in (recorded.head, data["head"])
    ]
    assert trees[0] == trees[1]
    assert checkout.fingerprint(repo) == before


async def test_other_files_are_exit_3(repo):
    time = call("Bash", '{"command": "date +%N > now.txt"}')
    await Agent(model=Scripted(time, "Done."), folder=repo, branch_name="work").run(
        "what time is it"
    )
    (last,), code = replay(repo, "--run", "--json")
    assert (last["error"]["type"], code) == ("replay_differs", 3)
    assert last["error"]["hint"].startswith("git diff ")


async def test_what_helpers_said_is_only_shown(repo):
    model = Scripted(call("Agent", '{"prompt": "look"}'), "Seen.", "Done.")
    await Agent(model=model, folder=repo, branch_name="work", tools=["Ls", "Agent"]).run("go")
    (last,), code = replay(repo, "--run", "--json")
    assert (last["error"]["type"], code) == ("invalid_value", 2)
    assert replay(repo, "--json")[1] == 0
    assert replay(repo, "nowhere", "--json")[1] == 2
