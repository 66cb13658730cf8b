"""Branches of a session as a user handles them, judged by git."""

import json
import re
import subprocess
import sys
from pathlib import Path

import checkout
import orjson
import pytest

from mlxk.agent.settings import Settings, to_meta
from mlxk.agent.transcript import from_lines, to_lines
from mlxk.chat.types import Message, Text, Thinking, ToolResult, ToolUse
from mlxk.contract.encoding import loads
from mlxk.history.session import Session
from mlxk.history.store import Store
from mlxk.system import clock, paths

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


def test_landing_makes_one_commit_under_the_users_name(repo, run, greet):
    landed = run("branch", "land", "greet")["data"]
    assert landed["into"] == "main"
    assert checkout.git(repo, "log", "-1", "--format=%an %s") == (
        "A User Create a file hello.txt containing Hello world"
    )
    assert (repo / "hello.txt").read_text() == "Hello world"
    assert checkout.git(repo, "status", "--porcelain") == ""
    assert landed["undo"] == "mlxk branch unland greet --from main"


def test_a_landing_is_taken_back_and_lands_again(repo, run, greet):
    before = checkout.fingerprint(repo)[2]
    landed = run("branch", "land", "greet")["data"]
    back = run(*landed["undo"].split()[1:])["data"]
    assert (back["commit"], back["undo"]) == (
        landed["before"],
        "mlxk branch land greet --into main",
    )
    assert checkout.fingerprint(repo)[2] == before
    assert run(*back["undo"].split()[1:])["data"]["files_changed"] == landed["files_changed"]


def test_a_landing_may_be_the_first_commit(home, tmp_path):
    repo = checkout.make(tmp_path / "unborn", commit=False)

    def run(*argv):
        done = subprocess.run([MLXK, *argv, "--json"], cwd=repo, capture_output=True, check=False)
        return orjson.loads(done.stdout)

    asked = run("agent", "Create a file hello.txt containing Hello world", "--land")
    assert checkout.git(repo, "ls-tree", "--name-only", "HEAD") == "hello.txt"
    assert run(*asked["data"]["landed"]["undo"].split()[1:])["error"] is None
    assert not (repo / "hello.txt").exists()


def test_landing_twice_changes_nothing_more(run, greet):
    first = run("branch", "land", "greet")["data"]
    second = run("branch", "land", "greet")["data"]
    assert (second["commit"], second["files_changed"]) == (first["commit"], [])


def test_landing_on_a_new_branch_leaves_the_checkout(repo, run, greet):
    before = checkout.fingerprint(repo)[2]
    landed = run("branch", "land", "greet", "--branch", "idea")["data"]
    assert checkout.git(repo, "show", "idea:hello.txt") == "Hello world"
    assert checkout.fingerprint(repo)[2] == before
    assert landed["undo"] == "git branch -D idea"


@pytest.mark.parametrize("how", ["committed", "uncommitted"])
def test_what_is_in_the_way_is_named_and_nothing_changes(repo, run, greet, how):
    (repo / "hello.txt").write_text("mine\n")
    if how == "committed":
        checkout.git(repo, "add", "-A")
        checkout.git(repo, "commit", "-qm", "mine")
    before = checkout.fingerprint(repo)
    error = run("branch", "land", "greet")["error"]
    assert error["type"] == ("merge_conflict" if how == "committed" else "dirty_merge")
    assert "hello.txt" in error["message"]
    assert checkout.fingerprint(repo) == before


def test_a_landing_is_signed_as_the_users_git_says_or_not_on_request(repo, run, odd):
    with (
        Store.open(repo, paths.home()) as store,
        Session.open(store, "odd", when=clock.now()) as session,
    ):
        (session.worktree / "new").write_text("x")
        session.append(b"", when=clock.now(), paths=["new"])
    checkout.git(repo, "config", "commit.gpgSign", "true")
    checkout.git(repo, "config", "gpg.program", "/no/such/gpg")
    assert run("branch", "land", "odd")["error"]["type"] == "signing_failed"
    assert run("branch", "land", "odd", "--no-sign")["status"] == "success"


def test_agent_land_does_it_in_one_go(repo, run):
    data = run("agent", "Create a file hello.txt containing Hello world", "--land")["data"]
    assert data["landed"] == {
        "branch": "main",
        "commit": checkout.git(repo, "rev-parse", "main"),
        "undo": "mlxk branch unland create-a-file-hello-txt-containing --from main",
    }
    assert (repo / "hello.txt").read_text() == "Hello world"


@pytest.mark.parametrize("how", ["changed", "staged", "merging"])
def test_agent_land_in_a_dirty_checkout_is_refused_before_any_work(repo, run, how):
    if how == "merging":
        checkout.git(repo, "checkout", "-qb", "other")
        (repo / "a.txt").write_text("theirs\n")
        checkout.git(repo, "commit", "-qam", "theirs")
        checkout.git(repo, "checkout", "-q", "main")
    (repo / "a.txt").write_text("mine\n")
    if how == "merging":
        checkout.git(repo, "commit", "-qam", "mine")
        subprocess.run(["git", "merge", "other"], cwd=repo, capture_output=True, check=False)
    if how == "staged":
        checkout.git(repo, "add", "-A")
    before = checkout.fingerprint(repo)
    value = run("agent", "hello", "--land")
    assert (value["error"]["type"], value["data"]) == ("dirty_merge", None)
    assert "a.txt" in value["error"]["message"]
    assert "mlxk branch land NAME" in value["error"]["hint"]
    assert checkout.git(repo, "for-each-ref", "refs/mlxk", "refs/heads/mlxk") == ""
    assert checkout.fingerprint(repo) == before


def test_a_checkout_that_became_dirty_is_told_how_to_land_later(repo, run):
    ask = f"run `echo mine > {repo}/a.txt; touch made.txt`"
    value = run("agent", ask, "--land", "--branch", "late", "--permissions", "all")
    assert value["error"]["type"] == "dirty_merge"
    assert value["error"]["hint"] == "commit them, then mlxk branch land late"
    checkout.git(repo, "commit", "-qam", "mine")
    assert run("branch", "land", "late")["status"] == "success"


def test_undo_takes_the_last_prompt_back_and_can_be_undone(repo, run, greet):
    undone = run("branch", "undo", "greet")["data"]
    assert checkout.git(repo, "ls-tree", "--name-only", "mlxk/greet").split() == ["a.txt"]
    assert not (Path(greet["data"]["worktree"]) / "hello.txt").exists()
    assert run("branch", "show", "greet")["data"]["messages"] == []
    run(*undone["redo"].split()[1:])
    names = checkout.git(repo, "ls-tree", "--name-only", "mlxk/greet").split()
    assert names == ["a.txt", "hello.txt"]
    assert checkout.git(repo, "fsck", "--strict", "--no-dangling") == ""


def test_what_has_not_landed_is_not_removed_unasked(run, greet):
    error = run("branch", "rm", "greet")["error"]
    assert (error["type"], error["hint"]) == (
        "unmerged_branch",
        "mlxk branch land greet, or remove it with --force",
    )
    run("branch", "land", "greet")
    assert run("branch", "rm", "greet")["status"] == "success"


def test_removed_sessions_come_back_until_they_are_pruned(repo, run, greet):
    run("branch", "rm", "greet", "--force")
    assert run("branch", "list")["data"]["count"] == 0
    assert checkout.git(repo, "worktree", "list").count("\n") == 0
    assert run("branch", "restore", "greet")["data"]["head"] == greet["data"]["head"]
    assert run("agent", "--resume", "greet", "Create b.txt containing second")["error"] is None
    run("branch", "rm", "greet", "--force")
    assert run("branch", "prune")["data"] == {"pruned": [], "kept": 1, "restore": None}
    pruned = run("branch", "prune", "--older-than", "0")["data"]
    assert pruned["kept"] == 0
    assert run("branch", "restore", "greet")["error"]["type"] == "session_not_found"
    back = run(*pruned["restore"].split()[1:])["data"]
    assert [back] == pruned["pruned"]


def test_the_trash_is_listed_with_what_brings_each_back(repo, run, greet):
    assert run("branch", "list", "--trash")["data"] == {"branches": [], "count": 0, "trash": []}
    first = run("branch", "rm", "greet", "--force")["data"]["removed"][0]["session"]
    run("agent", "Create a file b.txt containing two", "--branch", "greet")
    run("branch", "rm", "greet", "--force")
    newest, oldest = run("branch", "list", "--trash")["data"]["trash"]
    assert (oldest["name"], oldest["session"], oldest["steps"]) == ("mlxk/greet", first, 4)
    assert newest["restore"] == "mlxk branch restore greet"
    shown = subprocess.run([MLXK, "branch", "list", "--trash"], cwd=repo, capture_output=True)
    assert all(old["restore"] in shown.stdout.decode() for old in (newest, oldest))
    assert run(*oldest["restore"].split()[1:])["data"]["session"] == first
    assert [b["session"] for b in run("branch", "list")["data"]["branches"]] == [first]
    assert [t["session"] for t in run("branch", "list", "--trash")["data"]["trash"]] == [
        newest["session"]
    ]


def test_the_tree_of_futures_is_text_for_people_and_nodes_for_programs(repo, run, greet):
    run("branch", "create", "greet", "again", "--turn", "1")
    run("branch", "land", "greet")
    graph = run("branch", "log", "--graph")["data"]["graph"]
    assert sorted(b["name"] for b in graph["branches"]) == ["mlxk/again", "mlxk/greet"]
    kinds = sorted(e["kind"] for e in graph["edges"] if e["kind"] != "step")
    assert kinds == ["begin", "fork", "landing"]
    argv = [MLXK, "branch", "log"]
    told = subprocess.run(argv, cwd=repo, capture_output=True, check=True, text=True).stdout
    # The one that was changed last comes last, and it may be either.
    assert sorted(re.findall("[├└]─ (mlxk/\\w+)  ", told)) == ["mlxk/again", "mlxk/greet"]
    assert "=> main " in told


ODD = "lone \ud800, NUL \0, CRLF \r\n, \u2028, ``` and ````, " + "x" * 10_000


@pytest.fixture
def odd(repo):
    """A session whose every text is odd."""
    messages = (
        Message("user", (Text(ODD),)),
        Message("assistant", (Thinking(ODD), ToolUse("1", "Write", ODD))),
        Message("tool", (ToolResult("1", ODD, True, "Write"),)),
    )
    with (
        Store.open(repo, paths.home()) as store,
        Session.create(store, to_meta(Settings("m")), name="odd", when=clock.now()) as session,
    ):
        for message in messages:
            session.append(to_lines((message,)), when=clock.now())
    return messages


def test_an_export_loses_nothing(run, repo, odd):
    assert run("branch", "export", "odd", "odd.ndjson")["data"]["messages"] == 3
    lines = [loads(line) for line in (repo / "odd.ndjson").read_bytes().splitlines()]
    assert [line["type"] for line in lines[:3]] == ["session", "step", "step"]
    said = [
        {k: v for k, v in line.items() if k not in ("type", "step")}
        for line in lines
        if line["type"] == "message"
    ]
    back = b"\n".join(json.dumps(line).encode() for line in said)
    assert from_lines(back) == odd
    assert run("branch", "export", "odd")["data"]["text"] == (repo / "odd.ndjson").read_text()


def test_an_export_for_reading_keeps_its_fences(run, repo, odd):
    assert run("branch", "export", "odd", "odd.md")["data"]["format"] == "markdown"
    assert "\n`````json\nlone" in (repo / "odd.md").read_text()
    assert run("branch", "export", "odd", "odd.md")["error"]["type"] == "already_exists"
    assert run("branch", "export", "odd", "--format", "pdf")["error"]["type"] == "invalid_value"
    assert run("branch", "export", "odd", "odd.pdf")["error"]["type"] == "invalid_value"
    assert run("branch", "export", "odd", ".", "--force")["error"]["type"] == "invalid_value"


@pytest.mark.parametrize("mine", ["main", "HEAD", "HEAD~1", "v1", "refs/heads/main", "hash"])
def test_a_session_is_compared_with_any_commit_of_the_users(run, repo, odd, mine):
    (repo / "mine.txt").write_text("mine\n")
    checkout.git(repo, "add", "-A")
    checkout.git(repo, "commit", "-qm", "mine")
    checkout.git(repo, "tag", "-am", "v1", "v1")
    wanted = checkout.git(repo, "rev-parse", "HEAD" if mine == "hash" else f"{mine}^{{commit}}")
    name = wanted[:10] if mine == "hash" else mine
    data = run("branch", "diff", name, "odd")["data"]
    assert data["a"] == wanted == run("branch", "diff", "odd", name)["data"]["b"]
    assert data["deletions"] == (0 if mine == "HEAD~1" else 1)


def test_a_side_that_nobody_knows_is_named(run, odd):
    assert run("branch", "diff", "odd", "nowhere")["error"]["type"] == "session_not_found"


def test_a_folder_without_git_is_worked_in_on_request(home, tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.txt").write_text("one\n")

    def run(*argv):
        done = subprocess.run([MLXK, *argv, "--json"], cwd=folder, capture_output=True, check=False)
        return orjson.loads(done.stdout)

    ask = "Create a file hello.txt containing Hello world"
    assert run("agent", ask)["error"]["type"] == "not_a_repository"
    assert run("agent", ask, "--no-git", "--branch", "greet")["error"] is None
    assert [p.name for p in folder.iterdir()] == ["a.txt"]
    assert run("branch", "list")["data"]["count"] == 1
    landed = run("branch", "land", "greet")["data"]
    assert (folder / "hello.txt").read_text() == "Hello world"
    assert run(*landed["undo"].split()[1:])["error"] is None
    assert [p.name for p in folder.iterdir()] == ["a.txt"]


def test_no_git_in_a_repository_is_refused(run):
    assert run("agent", "do it", "--no-git")["error"]["type"] == "invalid_value"
