"""Branches of a session as a user handles them, judged by git."""

import subprocess
import sys
from pathlib import Path

import checkout
import orjson
import pytest

MLXK = str(Path(sys.executable).with_name("mlxk"))


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo")


@pytest.fixture
def run(repo):
    def go(*argv):
        done = subprocess.run([MLXK, *argv, "--json"], cwd=repo, capture_output=True, check=False)
        assert b"Traceback" not in done.stderr
        return orjson.loads(done.stdout)

    return go


@pytest.fixture
def greet(run):
    return run("agent", "Create a file hello.txt containing Hello world", "--branch", "greet")


@pytest.mark.parametrize(
    ("argv", "files"),
    [
        (["--turn", "0"], ["a.txt"]),
        (["--turn", "1"], ["a.txt", "hello.txt"]),
        (["--step", "2"], ["a.txt"]),
        ([], ["a.txt", "hello.txt"]),
    ],
    ids=["start", "after the call", "before the result", "end"],
)
def test_a_branch_starts_at_any_step_or_turn(repo, run, greet, argv, files):
    made = run("branch", "create", "greet", "again", *argv)["data"]
    assert checkout.git(repo, "ls-tree", "--name-only", "mlxk/again").split() == files
    assert sorted(p.name for p in Path(made["worktree"]).iterdir() if p.name != ".git") == files
    assert checkout.git(repo, "fsck", "--strict", "--no-dangling") == ""
    went_on = run("agent", "--resume", "again", "Create b.txt containing second")
    assert went_on["status"] == "success"


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["greet", "x", "--turn", "9"], "session_not_found"),
        (["greet", "x", "--step", "99"], "session_not_found"),
        (["greet", "x", "--step", "1", "--turn", "1"], "usage_error"),
        (["greet", "greet"], "already_exists"),
        (["greet", "a/b"], "invalid_value"),
        (["nothing"], "session_not_found"),
    ],
)
def test_a_branch_that_cannot_be_is_named(run, greet, argv, error):
    assert run("branch", "create", *argv)["error"]["type"] == error
