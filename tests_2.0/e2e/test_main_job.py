"""The main job with the installed `mlxk`, the real engine and a real repository."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import checkout
import orjson
import pytest
import waiting
from processes import gone

from mlxk.contract.validate import problems

MLXK = str(Path(sys.executable).with_name("mlxk"))
ASK = "Create a file hello.txt containing Hello world"


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo", files={"a.txt": "one\n", "src/b.py": "x = 1\n"})


def run(repo, *argv, **options):
    done = subprocess.run(
        [MLXK, *argv, "--json"], cwd=repo, capture_output=True, check=False, timeout=120, **options
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    value = orjson.loads(done.stdout)
    assert not problems(value["command"].replace(" ", "-"), value)
    return value, done.returncode


def test_the_main_job(repo):
    before = checkout.fingerprint(repo)
    value, code = run(repo, "agent", ASK)
    data = value["data"]
    assert (value["status"], code, data["stop_reason"]) == ("success", 0, "finished")
    assert data["commits"][-1]["files"] == ["hello.txt"]
    assert checkout.git(repo, "show", f"{data['branch']}:hello.txt") == "Hello world"
    assert checkout.git(repo, "rev-parse", data["branch"]) == data["head"]
    assert (Path(data["worktree"]) / "hello.txt").read_text() == "Hello world"
    assert data["resume"].startswith("mlxk agent --resume ")
    assert checkout.git(repo, "fsck", "--strict", "--no-dangling") == ""
    assert checkout.fingerprint(repo) == before


def test_a_session_goes_on_where_it_was(repo):
    first, _ = run(repo, "agent", ASK, "--branch", "greet")
    second, code = run(repo, "agent", "--resume", "greet", "Create b.txt containing second")
    assert code == 0
    assert second["data"]["session"] == first["data"]["session"]
    shown, _ = run(repo, "branch", "show", "greet")
    said = [m["text"] for m in shown["data"]["messages"] if m["role"] == "user"]
    assert said == [ASK, "Create b.txt containing second"]
    assert {f["path"] for f in shown["data"]["files_changed"]} == {"hello.txt", "b.txt"}


def test_an_older_step_is_a_fork(repo):
    first, _ = run(repo, "agent", ASK, "--branch", "greet")
    log, _ = run(repo, "branch", "log", "greet")
    start = log["data"]["steps"][0]["session_commit"]
    second, _ = run(repo, "agent", "--resume", start, "Create other.txt containing another")
    assert second["data"]["session"] != first["data"]["session"]
    listed, _ = run(repo, "branch", "list")
    fork = next(b for b in listed["data"]["branches"] if b["session"] == second["data"]["session"])
    assert (fork["parent"], fork["fork_step"]) == (first["data"]["session"], 0)
    assert checkout.git(repo, "ls-tree", "--name-only", fork["name"]).split() == [
        "a.txt", "other.txt", "src",
    ]  # fmt: skip


def test_uncommitted_work_is_seen_and_left_alone(repo):
    (repo / "a.txt").write_text("changed\n")
    (repo / "staged.txt").write_text("staged\n")
    checkout.git(repo, "add", "staged.txt")
    (repo / "new.txt").write_text("untracked\n")
    before = checkout.fingerprint(repo)
    value, _ = run(repo, "agent", ASK)
    branch = value["data"]["branch"]
    names = checkout.git(repo, "ls-tree", "--name-only", branch).split()
    assert names == ["a.txt", "hello.txt", "new.txt", "src", "staged.txt"]
    assert checkout.git(repo, "show", f"{branch}:a.txt") == "changed"
    assert [f["path"] for f in value["data"]["files_changed"]] == ["hello.txt"]
    assert checkout.fingerprint(repo) == before


def test_a_repository_without_commits_works(home, tmp_path):
    repo = checkout.make(tmp_path / "unborn", commit=False)
    value, code = run(repo, "agent", ASK)
    assert (code, value["data"]["commits"][-1]["files"]) == (0, ["hello.txt"])
    assert checkout.git(repo, "for-each-ref", "refs/heads/main") == ""


@pytest.mark.parametrize(
    ("argv", "error", "code", "hint"),
    [
        (["agent", ASK, "--model", "no/such"], "model_not_found", 1, "mlxk"),
        (["agent", ASK, "--frobnicate"], "usage_error", 2, "mlxk agent --help"),
        (["agent", "  "], "usage_error", 2, "mlxk agent"),
        (["agent", "--bare"], "usage_error", 2, "mlxk agent"),
        (["agent", ASK, "--tools", "Read,Delete"], "invalid_value", 2, "Read, Write, Edit"),
        (["agent", ASK, "--resume", "nothing"], "session_not_found", 1, "mlxk branch list"),
        (["agent", ASK, "--branch", "../x"], "invalid_value", 2, "letters"),
        (["agent", ASK, "--api", "nobody"], "usage_error", 2, "--model"),
        (["agent", ASK, "--skill", "nothing"], "invalid_document", 2, "SKILL.md"),
        (["agent", ASK, "--port", "8777"], "usage_error", 2, "mlxk agent --web"),
    ],
    ids=lambda value: " ".join(value[2:]) or "blank" if isinstance(value, list) else None,
)
def test_bad_input_is_named_and_leaves_nothing(repo, argv, error, code, hint):
    before = checkout.fingerprint(repo)
    value, got = run(repo, *argv)
    assert (value["error"]["type"], got) == (error, code)
    assert hint in value["error"]["hint"]
    assert checkout.git(repo, "for-each-ref", "refs/heads/mlxk", "refs/mlxk") == ""
    assert checkout.fingerprint(repo) == before


def test_outside_a_repository_it_says_what_to_type(home, tmp_path):
    value, code = run(tmp_path, "agent", ASK)
    assert (value["error"]["type"], code) == ("not_a_repository", 1)
    assert "git init" in value["error"]["hint"]


def test_without_a_backend_it_names_the_pip_line(repo, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text("import sys\nsys.modules['mlx'] = None\n")
    value, code = run(repo, "agent", ASK, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")})
    assert (value["error"]["type"], code) == ("engine_missing", 1)
    assert value["error"]["hint"].startswith("pip install ")
    assert checkout.git(repo, "for-each-ref", "refs/heads/mlxk") == ""


def test_a_budget_ends_the_run_and_keeps_the_work(repo):
    value, code = run(repo, "agent", ASK, "--max-turns", "1")
    assert (value["error"]["type"], code) == ("limit_reached", 4)
    assert value["data"]["stop_reason"] == "limit_reached"
    assert value["data"]["commits"][-1]["files"] == ["hello.txt"]


def test_the_prompt_can_come_from_a_pipe(repo):
    value, code = run(repo, "agent", input=ASK.encode())
    assert (code, value["data"]["commits"][-1]["files"]) == (0, ["hello.txt"])


def test_a_prompt_that_no_context_holds_leaves_no_session(repo, home):
    value, _ = run(repo, "agent", input=" ".join(map(str, range(9_000))).encode())
    assert (value["error"]["type"], value["data"]) == ("context_length_exceeded", None)
    assert "--model" in value["error"]["hint"]
    assert checkout.git(repo, "for-each-ref", "refs/heads/mlxk", "refs/mlxk") == ""
    assert not [*home.glob(".mlxk/worktrees/*/*")]


def test_events_end_with_the_envelope(repo):
    done = subprocess.run(
        [MLXK, "agent", "--events", ASK], cwd=repo, capture_output=True, check=True, timeout=120
    )
    *events, last = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert last["command"] == "agent"
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert not [p for e in events for p in problems("agent-event", e)]
    types = [e["type"] for e in events]
    assert (types[0], types[-1]) == ("run.started", "run.finished")
    assert {"tool.started", "tool.finished", "step.committed", "file.changed", "usage"} <= set(
        types
    )


def start(repo, ask):
    return subprocess.Popen(
        [MLXK, "agent", "--events", ask, "--branch", "work"],
        cwd=repo,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def until(child, kind):
    """Read events until one of this type has come."""
    for line in child.stdout:
        if orjson.loads(line).get("type") == kind:
            return
    raise AssertionError(f"no {kind}: {child.stderr.read()}")


NAP = f"sleep {20000 + os.getpid() % 10000}"  # other tests may sleep beside this one
SLOW = f"run `touch made.txt; {NAP}`"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_a_command_keeps_the_work(repo, home, number, code):
    before = checkout.fingerprint(repo)
    with start(repo, SLOW) as child:
        until(child, "tool.started")
        waiting.until(lambda: any(home.glob(".mlxk/worktrees/*/*/made.txt")))
        child.send_signal(number)
        began = time.monotonic()
        out, err = child.communicate(timeout=30)
    assert time.monotonic() - began < 5
    value = orjson.loads(out.splitlines()[-1])
    assert (value["error"]["type"], child.returncode) == ("interrupted", code)
    assert value["data"]["commits"][-1]["files"] == ["made.txt"]
    assert b"Traceback" not in err
    assert subprocess.run(["pgrep", "-f", NAP], check=False).returncode == 1
    assert checkout.fingerprint(repo) == before


def test_a_second_signal_does_not_wait_and_is_an_envelope_too(repo, home):
    with start(repo, SLOW) as child:
        until(child, "tool.started")
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=30)
    assert [orjson.loads(line).get("status") for line in out.splitlines()][-1] == "error"
    assert child.returncode in (-2, -15, 130, 143)


def test_kill_9_loses_nothing_and_blocks_nobody(repo, home):
    before = checkout.fingerprint(repo)
    with start(repo, SLOW) as child:
        until(child, "tool.started")
        waiting.until(lambda: any(home.glob(".mlxk/worktrees/*/*/made.txt")))
        child.kill()
        child.communicate(timeout=30)
    _, code = run(repo, "agent", "--resume", "work", "Create b.txt containing second")
    assert code == 0
    names = checkout.git(repo, "ls-tree", "--name-only", "mlxk/work").split()
    assert names == ["a.txt", "b.txt", "made.txt", "src"]
    shown, _ = run(repo, "branch", "show", "work")
    results = [m["text"] for m in shown["data"]["messages"] if m["role"] == "tool"]
    assert results[0] == "Error: the run was stopped before this call ended"
    assert checkout.git(repo, "fsck", "--strict", "--no-dangling") == ""
    assert checkout.fingerprint(repo) == before


def test_the_engine_does_not_outlive_a_killed_run(repo):
    with start(repo, SLOW) as child:
        until(child, "tool.started")
        engines = children(child.pid)
        assert engines
        child.kill()
        child.communicate(timeout=30)
    assert gone(engines)


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_two_agents_at_once_in_one_dirty_repository(repo):
    (repo / "a.txt").write_text("changed\n")
    before = checkout.fingerprint(repo)
    asks = [f"Create a file f{n}.txt containing number {n}" for n in range(2)]
    running = [
        subprocess.Popen([MLXK, "agent", "--json", ask], cwd=repo, stdout=subprocess.PIPE)
        for ask in asks
    ]
    values = [orjson.loads(child.communicate(timeout=120)[0]) for child in running]
    assert [v["data"]["commits"][-1]["files"] for v in values] == [["f0.txt"], ["f1.txt"]]
    assert len({v["data"]["session"] for v in values}) == 2
    assert checkout.git(repo, "fsck", "--strict", "--no-dangling") == ""
    assert checkout.fingerprint(repo) == before


def test_a_session_in_use_is_refused(repo):
    with start(repo, SLOW) as child:
        until(child, "tool.started")
        value, code = run(repo, "agent", "--resume", "work", "hello")
        listed, _ = run(repo, "branch", "list")
        child.terminate()
        child.communicate(timeout=30)
    assert (value["error"]["type"], code) == ("session_busy", 1)
    assert listed["data"]["branches"][0]["state"] == "running"


def test_a_full_disk_is_an_envelope_and_harms_nothing(repo, home, tmp_path):
    """The home is a file system of 256 kB: the worktree does not fit."""
    (repo / "big.bin").write_bytes(os.urandom(400_000))
    before = checkout.fingerprint(repo)
    small = tmp_path / "small"
    small.mkdir()
    confined = ["bwrap", "--dev-bind", "/", "/", "--size", "262144", "--tmpfs", str(small)]
    done = subprocess.run(
        [*confined, "--", MLXK, "agent", "--json", ASK],
        cwd=repo,
        env={**os.environ, "MLXK_HOME": str(small)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    value = orjson.loads(done.stdout)
    assert (value["error"]["type"], done.returncode) == ("disk_full", 1)
    assert checkout.git(repo, "for-each-ref", "refs/heads/mlxk", "refs/mlxk/sessions") == ""
    assert checkout.git(repo, "fsck", "--strict", "--no-dangling") == ""
    assert checkout.fingerprint(repo) == before


def test_a_read_only_home_is_an_envelope(repo, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir()
    confined = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", str(closed), str(closed)]
    done = subprocess.run(
        [*confined, "--", MLXK, "agent", "--json", ASK],
        cwd=repo,
        env={**os.environ, "MLXK_HOME": str(closed)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    value = orjson.loads(done.stdout)
    assert (value["error"]["type"], done.returncode) == ("permission_denied", 1)
    assert str(closed) in value["error"]["message"]


def test_a_prompt_that_is_not_utf8_is_taken_as_far_as_it_is(repo):
    value, code = run(repo, "agent", input=b"Create a file hello.txt containing caf\xe9")
    assert code == 0
    assert value["data"]["commits"][-1]["files"] == ["hello.txt"]


@pytest.mark.parametrize("answers", ["/dev/null", "file", "pipe"])
def test_questions_are_answered_on_any_kind_of_standard_input(repo, tmp_path, answers):
    """With /dev/null and an empty file nobody allows anything; nothing hangs."""
    argv = [MLXK, "agent", ASK, "--permissions", "ask", "--input-format", "jsonl", "--events"]
    (tmp_path / "file").write_text("")
    source = "/dev/null" if answers == "/dev/null" else str(tmp_path / "file")
    with (
        Path(source).open() as file,
        subprocess.Popen(
            argv,
            cwd=repo,
            stdin=subprocess.PIPE if answers == "pipe" else file,
            stdout=subprocess.PIPE,
        ) as child,
    ):
        for line in child.stdout:
            value = orjson.loads(line)
            if value.get("type") == "permission.asked" and answers == "pipe":
                yes = {"type": "permission", "id": value["data"]["id"], "allow": True}
                child.stdin.write(b"not json\n" + orjson.dumps(yes) + b"\n")
                child.stdin.flush()
    assert child.returncode == (0 if answers == "pipe" else 1)
    assert (value["error"] or {"type": None})["type"] == (
        None if answers == "pipe" else "tool_denied"
    )


def test_the_time_budget_bounds_the_check_too(repo):
    value, code = run(repo, "agent", ASK, "--max-seconds", "6", "--check", f"{NAP}")
    assert (value["error"]["type"], code) in (("check_failed", 3), ("limit_reached", 4))
    assert value["data"]["duration_s"] < 15


def test_a_model_in_use_is_not_removed(repo, hub_cache):
    from mlxk.hub import builtin

    files = {p.name: p.read_bytes() for p in builtin.folder("builtin:tiny").iterdir()}
    hub_cache.add("org/tiny", files)
    argv = [MLXK, "agent", "--events", SLOW, "--model", "org/tiny"]
    with subprocess.Popen(argv, cwd=repo, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        until(child, "tool.started")
        value, code = run(repo, "rm", "org/tiny", "--force")
        child.terminate()
        child.communicate(timeout=30)
    assert (value["error"]["type"], code) == ("locks_present", 1)
    assert run(repo, "rm", "org/tiny", "--force")[1] == 0


def test_a_file_name_that_is_not_utf8_is_shown_as_far_as_it_is(repo):
    Path(os.fsdecode(bytes(repo) + b"/caf\xe9.txt")).write_text("x\n")
    value, code = run(repo, "agent", "List the files in this folder")
    assert (code, value["data"]["stop_reason"]) == (0, "finished")


def test_a_home_inside_the_checkout_does_not_show(repo):
    before = checkout.fingerprint(repo)[3]
    value, _ = run(repo, "agent", ASK, env={**os.environ, "MLXK_HOME": "rel"})
    assert value["data"]["worktree"].startswith(str(repo))
    assert checkout.git(repo, "status", "--porcelain=v2") == before == ""


def test_landing_on_no_branch_is_refused_before_any_work(repo):
    checkout.git(repo, "checkout", "-q", "--detach")
    value, code = run(repo, "agent", ASK, "--land")
    assert (value["error"]["type"], code) == ("invalid_value", 2)
    assert checkout.git(repo, "for-each-ref", "refs/heads/mlxk") == ""
