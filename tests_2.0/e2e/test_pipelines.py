"""In pipelines: nothing waits, the same gives the same, futures share what they have in common."""

import subprocess
import sys
from pathlib import Path

import checkout
import orjson
import pytest
from processes import descendants, gone

MLXK = str(Path(sys.executable).with_name("mlxk"))
ASK = "Create a file hello.txt containing Hello world"


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo")


def run(repo, *argv, **options):
    done = subprocess.run(
        [MLXK, "agent", "--json", *argv], cwd=repo, capture_output=True, check=False, **options
    )
    return orjson.loads(done.stdout), done.returncode


@pytest.mark.parametrize("more", [[], ["--permissions", "ask"]], ids=["plain", "ask"])
def test_an_open_pipe_that_nobody_closes_does_not_hang_a_run(repo, more):
    argv = [MLXK, "agent", "--json", ASK, *more]
    with subprocess.Popen(
        argv, cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.wait(timeout=60) == (1 if more else 0)
        value = orjson.loads(child.stdout.read())
    assert (value["error"] or {"type": None})["type"] == ("tool_denied" if more else None)


def test_a_reader_that_leaves_ends_the_run_quietly_and_the_work_is_kept(repo):
    argv = [MLXK, "agent", "--events", ASK, "--branch", "greet"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(argv, cwd=repo, stdin=subprocess.DEVNULL, **pipes) as child:
        for line in child.stdout:
            if orjson.loads(line)["type"] == "tool.finished":
                break
        children = descendants(child.pid)
        child.stdout.close()
        assert child.wait(timeout=60) == 1
        assert child.stderr.read() == b""
    assert gone(children)
    assert checkout.git(repo, "show", "mlxk/greet:hello.txt") == "Hello world"


@pytest.mark.slow
def test_a_closed_standard_input_is_no_harm(repo):
    argv = f"exec {MLXK} agent --json '{ASK}' <&-"
    done = subprocess.run(["sh", "-c", argv], cwd=repo, capture_output=True, check=False)
    assert (orjson.loads(done.stdout)["status"], done.returncode) == ("success", 0)


@pytest.mark.slow
def test_greedy_runs_say_the_same(repo):
    runs = [run(repo, ASK, "--temperature", "0", "--seed", "7")[0]["data"] for _ in range(2)]
    assert runs[0]["result"] == runs[1]["result"]
    assert runs[0]["usage"]["output_tokens"] == runs[1]["usage"]["output_tokens"]
    trees = [checkout.git(repo, "rev-parse", f"{data['head']}^{{tree}}") for data in runs]
    assert trees[0] == trees[1]
    first, second = (conversation(repo, data["session"]) for data in runs)
    assert first == second


def conversation(repo, session):
    ref = f"refs/mlxk/sessions/{session}"
    names = checkout.git(repo, "ls-tree", "-r", "--name-only", ref).split()
    lines = [checkout.git(repo, "show", f"{ref}:{n}") for n in names if n.endswith(".jsonl")]
    ids = {i: f"call-{n}" for n, i in enumerate(dict.fromkeys(calls(lines)))}
    text = "\n".join(lines)
    for known, plain in ids.items():
        text = text.replace(known, plain)
    return text


def calls(lines):
    for line in "\n".join(lines).splitlines():
        for part in orjson.loads(line)["parts"]:
            if part["type"] == "tool_use":
                yield part["id"]


def test_four_futures_read_their_common_words_once(repo):
    before = checkout.fingerprint(repo)
    argv = [MLXK, "agent", "--events", "--futures", "4", "--check", "test -s done.txt"]
    ask = "Create a file done.txt containing yes"
    done = subprocess.run([*argv, ask], cwd=repo, capture_output=True, check=False, timeout=200)
    *events, last = map(orjson.loads, done.stdout.splitlines())
    assert (last["status"], done.returncode) == ("success", 0)
    futures = last["data"]["futures"]
    assert (len(futures), [f["winner"] for f in futures].count(True)) == (4, True)
    assert next(f for f in futures if f["winner"])["passed"]
    first = {}
    for event in events:
        if event["type"] == "usage":
            first.setdefault(event["session"], event["data"])
    shared = sorted(used["cached_tokens"] / used["prompt_tokens"] for used in first.values())
    assert len(shared) == 4
    assert shared[1] > 0.9  # all but the first to come
    assert last["data"]["usage"]["cached_tokens"] > 0
    branches = checkout.git(repo, "for-each-ref", "--format=%(refname:short)", "refs/heads/mlxk")
    assert set(branches.split()) == {f["branch"] for f in futures}
    assert checkout.fingerprint(repo) == before
