"""Each operations command's published example is what the command really prints."""

import os
import signal
import subprocess
import sys

import orjson
import pytest
from stack_home import StackHome
from steady import Steady

from mlxk.system.process import child_environment

MLXK = [sys.executable, "-m", "mlxk"]
PROFILE = {
    "backend": "metal",
    "chip": "Apple M4 Max",
    "gpu_cores": 40,
    "devices": [],
    "memory_gb": 128.0,
    "bandwidth_gbps": 546,
    "is_estimate": False,
    "profile_id": "m4-max-128",
}


@pytest.fixture
def a_mac(home):
    """A home in which the machine was already looked at."""
    folder = home / ".mlxk"
    folder.mkdir()
    (folder / "profile.json").write_bytes(orjson.dumps(PROFILE))
    return folder


def lines_of(argv, cwd):
    env = child_environment(extra=("MLXK_HOME", "HF_HOME"))
    done = subprocess.run(
        [*MLXK, *argv], cwd=cwd, env=env, capture_output=True, check=False, timeout=60
    )
    return [orjson.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


@pytest.fixture
def compare(golden, home, a_mac, tmp_path):
    steady = Steady(**{str(home): "/home/you", sys.executable: "/usr/bin/python3"})

    def check(name, *argv, change=lambda line: line):
        lines, errors = lines_of([*argv, "--json"], tmp_path)
        assert lines, errors
        golden(f"{name}.jsonl", [change(steady.value(line)) for line in lines])

    return check


def run(*argv, cwd):
    lines, errors = lines_of([*argv, "--json"], cwd)
    assert lines[-1]["status"] == "success", (lines, errors)
    return lines[-1]["data"]


@pytest.fixture
def tiny(a_mac, tmp_path):
    run("deploy", "add", "tiny", "--model", "builtin:tiny", "--port", "8010", cwd=tmp_path)


def test_profile(compare):
    compare("profile", "profile")


@pytest.mark.parametrize(
    "line",
    ["config list", "config get gateway-port", "config set memory-budget-pct 60"],
)
def test_config(compare, line):
    compare("-".join(line.split()[:2]), *line.split())


def test_config_reset(compare, tmp_path):
    run("config", "set", "gateway-port", "4100", cwd=tmp_path)
    compare("config-reset", "config", "reset")


@pytest.mark.parametrize(
    "line",
    [
        "catalog list --family qwen3 --tag agent",
        "catalog show qwen3-4b-instruct-2507",
        "catalog validate",
    ],
)
def test_catalog(compare, line):
    compare("-".join(line.split()[:2]), *line.split())


def test_recommend(compare):
    compare("recommend", "recommend", "--budget", "24")


def test_init(compare):
    argv = ["--accept-defaults", "--add", "builtin:tiny", "--budget", "24"]

    def fixed(line):
        line["data"]["deployments"][-1]["memory_gb"] = 0.02
        for number, row in enumerate(line["data"]["deployments"]):
            row["port"] += number
        return line

    compare("init", "init", *argv, change=fixed)


@pytest.mark.parametrize("line", ["deploy list", "deploy show tiny", "deploy render tiny"])
def test_documents_are_read(compare, tiny, line):
    compare("-".join(line.split()[:2]), *line.split())


@pytest.mark.parametrize(
    "line", ["deploy set tiny server.host=0.0.0.0 context=1024", "deploy rm tiny --force"]
)
def test_documents_are_changed(compare, tiny, line):
    compare("-".join(line.split()[:2]), *line.split())


def test_a_document_is_added(compare):
    compare("deploy-add", "deploy", "add", "tiny", "--model", "builtin:tiny", "--port", "8010")


def test_a_document_is_validated(compare, tmp_path):
    (tmp_path / "odd.json").write_text(
        '{"name": "odd", "model": "org/name", "server": {"port": 70000}, "colour": "red"}'
    )
    compare("deploy-validate", "deploy", "validate", "./odd.json")


def test_a_document_is_imported(compare, tmp_path):
    (tmp_path / "old.yaml").write_text("name: old\nmodel: builtin:tiny\nserver: {port: 8000}\n")
    compare("deploy-import", "deploy", "import", "old.yaml")


@pytest.fixture
def stack(a_mac):
    made = StackHome(a_mac)
    made.add("standard")
    value = {"name": "mine", "deployments": ["standard"], "routes": {"standard": "standard"}}
    made.store.save_stack(value | {"gateway": {"port": "auto"}})
    (a_mac / "config.json").write_text('{"stack": "mine"}')
    yield made
    made.close()


def test_up_and_down(compare, stack):
    compare("up", "up")
    compare("restart", "restart", "standard")
    compare("down", "down")


def test_status(compare, stack):
    def fixed(line):
        line["data"]["services"][0]["memory_gb"] = 4.2
        return line

    stack.up("standard", "gateway")
    compare("status", "status", change=fixed)


def test_gateway(golden, home, stack):
    stack.up("standard")
    argv = [*MLXK, "gateway", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as front:
        line = orjson.loads(front.stdout.readline())
        front.send_signal(signal.SIGTERM)
        assert front.wait(timeout=30) == 0
    golden("gateway.jsonl", [Steady().value(line)])


def test_watch(compare, stack):
    def fixed(line):
        line["data"]["polls"] = 1
        line["data"]["services"][0]["memory_gb"] = 4.2
        return line

    stack.up("standard")
    compare("watch", "watch", "standard", "--until", "ready", change=fixed)


def test_logs(compare, stack):
    stack.up("standard")
    compare("logs", "logs", "standard", "--tail", "2")


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    """A service manager that agrees to everything."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, says in (("systemctl", "systemd 252"), ("loginctl", "yes"), ("id", "you")):
        (folder / name).write_text(f"#!/bin/sh\necho {says}\n")
        (folder / name).chmod(0o755)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.skipif(sys.platform == "darwin", reason="the example is of systemd")
def test_install_and_uninstall(compare, systemctl):
    compare("install", "install", "--now")
    compare("uninstall", "uninstall")
