"""What is said when a session is resumed goes into it, and never widens what it may do."""

import subprocess
import sys
from pathlib import Path

import checkout
import orjson
import pytest

MLXK = str(Path(sys.executable).with_name("mlxk"))
CONFIG = "system: You review.\ntools: [Read, Write]\npermissions: {deny: ['Write(secret*)']}\n"


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo")


@pytest.fixture
def agent(repo):
    def run(*argv):
        done = subprocess.run(
            [MLXK, "agent", "--json", *argv], cwd=repo, capture_output=True, check=False
        )
        return orjson.loads(done.stdout)

    return run


def settings(repo):
    session = checkout.git(repo, "for-each-ref", "--format=%(refname)", "refs/mlxk/sessions")
    return orjson.loads(checkout.git(repo, "cat-file", "-p", f"{session}:meta.json"))


def test_a_configuration_is_swapped_and_the_conversation_stays(repo, agent):
    agent("Create a file a.txt containing one", "--branch", "work", "--permissions", "read")
    (repo / "review.yaml").write_text(CONFIG)
    value = agent(
        "--resume", "work", "--config", "review.yaml", "Create a file hello.txt containing hi"
    )
    assert value["data"]["commits"][-1]["files"] == ["hello.txt"]
    kept = settings(repo)
    assert (kept["system"], kept["tools"]) == ("You review.", ["Read", "Write"])
    assert kept["permissions"] == {"mode": "workspace", "allow": [], "deny": ["Write(secret*)"]}
    shown = agent("--dry-run", "--resume", "work", "go on")["data"]
    assert [m["role"] for m in shown["messages"]].count("user") == 3
    assert shown["messages"][0]["parts"][0]["text"] == "You review."


@pytest.mark.slow
def test_a_rule_more_does_not_open_what_was_closed(repo, agent):
    agent("hello", "--branch", "work", "--permissions", "read", "--deny", "Read(secret*)")
    agent("hello", "--resume", "work", "--allow", "Write(notes*)")
    assert settings(repo)["permissions"] == {
        "mode": "read",
        "allow": ["Write(notes*)"],
        "deny": ["Read(secret*)"],
    }
