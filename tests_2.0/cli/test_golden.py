"""Each command's published example is what the command really prints, real engine included."""

import signal
import subprocess
import sys
from pathlib import Path

import checkout
import orjson
import pytest
from steady import Steady

MLXK = str(Path(sys.executable).with_name("mlxk"))
ASK = "Create a file hello.txt containing Hello world"


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "project")


@pytest.fixture
def steady(home, tmp_path):
    words = {str(tmp_path / "project"): "/home/you/project", str(home): "/home/you"}
    return Steady(**words)


def lines_of(argv, cwd):
    done = subprocess.run([MLXK, *argv], cwd=cwd, capture_output=True, check=False, timeout=120)
    return [orjson.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def compare(golden, steady, repo):
    def check(name, *argv, change=lambda line: line):
        lines = [change(steady.value(line)) for line in lines_of(argv, repo)]
        assert lines[-1]["status"] == "success", lines[-1]
        golden(f"{name}.jsonl", lines)

    return check


def test_version(compare):
    def fixed(line):
        line["data"]["packages"] = dict.fromkeys(line["data"]["packages"], "1.0.0")
        line["data"]["system"]["backend"] = "cpu"
        return line

    compare("version", "version", "--json", change=fixed)


def test_schema(compare):
    compare("schema", "schema", "usage", "--json")


def test_help(compare):
    compare("help", "help", "branch", "--json")


def test_completion(compare):
    compare("completion", "completion", "fish", "--json")


def test_doctor(compare):
    """What a check says depends on the machine; the example shows a sound one."""
    good = {
        "backend": "MLX runs on cpu",
        "mlx-lm": "installed",
        "cache": "/home/you/.cache/huggingface/hub",
        "home": "/home/you/.mlxk",
        "hub-token": "a token is set",
        "disk": "81.5 GB free for models",
        "git-identity": "A User <user@example.org>",
        "service-manager": "systemd user manager",
        "confinement": "bwrap confines the agent's Bash",
    }

    def sound(line):
        names = [check["name"] for check in line["data"]["checks"]]
        assert names == list(good)
        line["data"]["checks"] = [
            {"name": n, "status": "ok", "message": good[n], "hint": None} for n in names
        ]
        line["data"]["healthy"] = True
        return {**line, "status": "success", "error": None}

    compare("doctor", "doctor", "--json", change=sound)


@pytest.fixture
def models(hub_cache):
    import hub_cache as files

    hub_cache.add("mlx-community/Qwen3-0.6B-4bit")
    broken = files.model()
    broken["model.safetensors"] = broken["model.safetensors"][:-1]
    hub_cache.add("mlx-community/cut-short", broken, commit=files.OTHER)


@pytest.mark.parametrize(
    ("name", "argv"),
    [
        ("list", ["list"]),
        ("show", ["show", "Qwen3-0.6B", "--files"]),
        ("health", ["health"]),
    ],
)
def test_models(compare, models, name, argv):
    def fixed(line):
        for model in line["data"].get("models", []):
            if model["source"] == "builtin":
                model["size_bytes"] = 4000000
        return line

    compare(name, *argv, "--json", change=fixed)


def test_run(compare):
    compare("run", "run", "builtin:tiny", "hello", "--events")


def test_bench(compare):
    """Speeds and lengths are chance; what they are called is not."""
    steady = {
        "p50": 0.005, "p95": 0.011, "std": 1.5, "mean": 90.0, "prompt_tokens": 64,
        "peak_memory_gb": 0.008, "measured": 90.0,
    }  # fmt: skip

    def fixed(value):
        if isinstance(value, dict):
            return {k: steady[k] if v and k in steady else fixed(v) for k, v in value.items()}
        return [fixed(v) for v in value] if isinstance(value, list) else value

    sizes = ["--prompt-tokens", "64", "--max-tokens", "8", "--iterations", "2"]
    argv = ["bench", "builtin:tiny", *sizes, "--min-gen-tps", "0.1", "--tool-call", "--events"]
    compare("bench", *argv, change=fixed)


def test_serve(golden, steady, repo):
    argv = [MLXK, "serve", "builtin:tiny", "--port", "0", "--json"]
    with subprocess.Popen(argv, cwd=repo, stdout=subprocess.PIPE) as server:
        line = orjson.loads(server.stdout.readline())
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
    golden("serve.jsonl", [steady.value(line)])


def test_agent_and_its_branch(compare, golden, steady, repo):
    def fixed(line):
        # How far a budget is used is chance; not every machine can confine.
        data = line.get("data") or {}
        if "budgets" in data:
            data["budgets"]["seconds"] = [0.5, None]
        if "confinement" in data:
            data["confinement"] = "bubblewrap"
        if "warnings" in line:
            line["warnings"] = [w for w in line["warnings"] if w["code"] != "unconfined"]
        return line

    compare("agent", "agent", ASK, "--branch", "greet", "--events", change=fixed)
    listed = steady.value(lines_of(["branch", "list", "--json"], repo))
    for command in ("show", "diff", "log"):
        compare(f"branch-{command}", "branch", command, "greet", "--json")
    compare("branch-export", "branch", "export", "greet", "greet.md", "--json")
    compare("replay", "agent", "replay", "greet", "--events")
    compare("branch-land", "branch", "land", "greet", "--branch", "landed", "--json")
    compare("branch-unland", "branch", "unland", "greet", "--from", "landed", "--json")
    compare("branch-undo", "branch", "undo", "greet", "--json")
    compare("branch-rm", "branch", "rm", "greet", "--force", "--json")
    trash = steady.value(lines_of(["branch", "list", "--trash", "--json"], repo))
    golden("branch-list.jsonl", [*trash, *listed])
    compare("branch-restore", "branch", "restore", "greet", "--json")
    compare("branch-prune", "branch", "prune", "--json")
    compare("branch-create", "branch", "create", "greet", "again", "--turn", "1", "--json")
