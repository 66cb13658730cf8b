"""From a fresh home to a served model and back: a real engine, and every process of it killed."""

import os
import signal
import subprocess
import sys

import orjson
import pytest
from processes import descendants, gone

MLXK = [sys.executable, "-m", "mlxk"]


def mlxk(*argv):
    done = subprocess.run([*MLXK, *argv, "--json"], capture_output=True, check=False, timeout=90)
    value = orjson.loads(done.stdout)
    return value["data"], value["error"], done.returncode


@pytest.fixture
def tiny(home):
    tiers = ("--remove", "standard", "--remove", "fast", "--remove", "longctx")
    argv = ("init", "--accept-defaults", "--add", "builtin:tiny", *tiers, "--budget", "8")
    data, _, code = mlxk(*argv)
    assert (code, data["missing_models"]) == (0, [])
    mlxk("deploy", "set", "tiny", "server.port=auto", "restart.base_s=0.1")
    yield home / ".mlxk"
    mlxk("down", "--all")


def served(port, key="none"):
    from urllib.request import Request, urlopen

    body = orjson.dumps({"model": "builtin:tiny", "prompt": "hello", "max_tokens": 2})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    with urlopen(Request(f"http://127.0.0.1:{port}/v1/completions", body, headers)) as reply:
        return orjson.loads(reply.read())["choices"]


def test_a_stack_is_founded_started_and_taken_down(tiny, monkeypatch):
    monkeypatch.setenv("MY_KEY", "own-secret")
    mlxk("deploy", "set", "tiny", "auth.api_key_env=MY_KEY")
    data, error, _ = mlxk("up", "--wait")
    assert error is None
    result = data["results"][0]
    assert served(result["port"], "own-secret")
    row = mlxk("status")[0]["services"][0]
    assert (row["state"], row["tier"], row["owner"]) == ("healthy", "standard", "local")
    family = [row["pid"], *descendants(row["pid"])]
    assert len(family) > 1
    assert mlxk("down")[0]["results"][0]["graceful"] is True
    assert gone(family)
    assert not list((tiny / "pids").iterdir())
    assert not list((tiny / "run").iterdir())
    written = b"".join(p.read_bytes() for p in tiny.rglob("*") if p.is_file())
    assert b"own-secret" not in written


def killed(pid, *others):
    os.kill(pid, signal.SIGKILL)
    assert gone([pid, *others], within=20)
    return mlxk("watch", "tiny", "--until", "ready", "--timeout", "30")[0]["services"][0]


def test_it_survives_the_death_of_any_process(tiny):
    pid = mlxk("up")[0]["results"][0]["pid"]
    argv = [*MLXK, "watch", "--interval", "0.2"]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as watch:
        assert killed(descendants(pid)[0])["pid"] == pid
        row = killed(pid, *descendants(pid))
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(timeout=10) == 0
    assert served(row["port"])
    assert row["pid"] != pid
    family = [row["pid"], *descendants(row["pid"])]
    mlxk("down")
    assert gone(family)


def test_a_model_that_is_missing_is_said_to_be(home):
    mlxk("deploy", "add", "absent", "--model", "org/absent", "--port", "auto")
    data, error, code = mlxk("up", "absent")
    assert code == 1
    assert data["plan"][0]["reason"] == "model_missing"
    assert data["results"][0]["error"]["type"] == "model_not_found"
    assert "mlxk pull org/absent" in error["hint"]
