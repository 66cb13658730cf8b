"""`mlxk agent --dry-run`: the first request, and nothing else."""

import subprocess
import sys
from pathlib import Path

import checkout
import orjson
import pytest

from mlxk.agent import Agent
from mlxk.chat.scripted import Scripted

MLXK = str(Path(sys.executable).with_name("mlxk"))
ASK = "Create a file hello.txt containing Hello world"


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo")


def run(repo, *argv):
    done = subprocess.run(
        [MLXK, "agent", *argv], cwd=repo, capture_output=True, check=False, timeout=120
    )
    return done.stdout, done.returncode


def test_it_shows_the_request_and_leaves_nothing(repo, home):
    (repo / "AGENTS.md").write_text("Indent with tabs.\n")
    before = checkout.fingerprint(repo)
    out, code = run(repo, "--json", "--dry-run", "--tools", "Read,Agent,Lsp", ASK)
    value = orjson.loads(out)["data"]
    assert code == 0
    assert [message["role"] for message in value["messages"]] == ["system", "user"]
    assert value["messages"][0]["parts"][0]["text"].endswith("Indent with tabs.")
    assert [tool["name"] for tool in value["tools"]] == ["Read", "Lsp", "Agent"]
    assert 0 < value["prompt_tokens"] < 3000
    assert checkout.git(repo, "for-each-ref", "refs/heads/mlxk", "refs/mlxk") == ""
    assert checkout.fingerprint(repo) == before
    assert not (home / ".mlxk" / "worktrees").exists()


def test_without_git_it_leaves_nothing_either(home, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "AGENTS.md").write_text("Indent with tabs.\n")
    out, code = run(notes, "--json", "--no-git", "--dry-run", ASK)
    system = orjson.loads(out)["data"]["messages"][0]
    assert (code, "Indent with tabs." in system["parts"][0]["text"]) == (0, True)
    assert not list(home.iterdir())
    assert run(notes, "--dry-run", ASK)[1] == 1


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        ("--resume nothing", "session_not_found"),
        ("--model no/such", "model_not_found"),
        ("--model x --api openai", "provider_auth"),
        ("--branch ../x", "invalid_value"),
        ("--port 8777", "usage_error"),
        ("--bare --stream x", "usage_error"),
    ],
)
def test_wrong_flags_make_no_store(home, tmp_path, monkeypatch, flags, error):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    notes = tmp_path / "notes"
    notes.mkdir()
    out, _ = run(notes, "--json", "--no-git", ASK, *flags.split())
    assert orjson.loads(out)["error"]["type"] == error
    assert not (home / ".mlxk" / "stores").exists()


@pytest.mark.slow
async def test_it_counts_what_the_run_then_counts(repo):
    said, _ = run(repo, "--json", "--dry-run", ASK)
    out, _ = run(repo, "--events", ASK, "--branch", "greet")
    started = orjson.loads(out.splitlines()[0])["data"]
    value = orjson.loads(said)["data"]
    assert value["prompt_tokens"] == started["prompt_tokens"]
    assert value["prompt_bytes"] == started["prompt_bytes"]
    assert [tool["name"] for tool in value["tools"]] == [t["name"] for t in started["tools"]]


@pytest.mark.slow
async def test_a_resumed_session_shows_its_conversation(repo):
    model = Scripted("Hello.")
    await Agent(model=model, folder=repo, branch_name="talk").run("greet me")
    argv = ["--dry-run", "--resume", "talk", "--api", "openai", "--model", "x", "--url", "http://x"]
    value = orjson.loads(run(repo, "--json", *argv, "again")[0])["data"]
    assert [m["role"] for m in value["messages"]] == ["system", "user", "assistant", "user"]
    assert (value["prompt_tokens"], value["resumed"] is not None) == (None, True)
    text, code = run(repo, *argv, "again")
    assert (code, b"[assistant]\nHello.\n" in text) == (0, True)


def test_a_model_that_is_not_there_is_named(repo):
    out, code = run(repo, "--json", "--dry-run", "--model", "no/such", ASK)
    assert (orjson.loads(out)["error"]["type"], code) == ("model_not_found", 1)
