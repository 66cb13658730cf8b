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
    path = home / ".mlxk" / "stacks" / "default.json"
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"gateway": {"port": "auto"}}))
    yield home / ".mlxk"
    mlxk("down", "--all")


def asked(url, body, key="none"):
    from urllib.request import Request, urlopen

    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    with urlopen(Request(url, orjson.dumps(body), headers)) as reply:
        return reply.read()


def served(port, key="none"):
    body = {"model": "builtin:tiny", "prompt": "hello", "max_tokens": 2}
    return orjson.loads(asked(f"http://127.0.0.1:{port}/v1/completions", body, key))["choices"]


SAY = {"role": "user", "content": "What is a git branch?"}
CHAT = {"model": "builtin:tiny", "messages": [SAY], "max_tokens": 12}
QUESTIONS = {
    "/v1/chat/completions": CHAT | {"temperature": 0, "n": 2, "logprobs": True},
    "/v1/completions": {"model": "builtin:tiny", "prompt": ["I am", "You"], "max_tokens": 8},
    "/v1/messages": CHAT | {"stop_sequences": ["demo"]},
    "/v1/responses": {"model": "builtin:tiny", "input": "Who are you?", "max_output_tokens": 9},
    "/v1beta/models/builtin:tiny:generateContent": {
        "contents": [{"role": "user", "parts": [{"text": "Who are you?"}]}],
        "generationConfig": {"seed": 7, "temperature": 1.5, "maxOutputTokens": 12},
    },
}


def words(reply):
    """What an answer says: all of it but ids, times, the name of the model and what was cached."""
    other = {"id", "created", "created_at", "model", "modelVersion", "responseId", "usage"}
    other |= {"usageMetadata"}
    match reply:
        case dict():
            rest = {k: words(v) for k, v in reply.items() if k not in other}
            return rest | {k: v for k, v in (reply.get("usage") or {}).items() if "output" in k}
        case list():
            return [words(item) for item in reply]
    return reply


def test_a_stack_is_founded_started_and_taken_down(tiny, monkeypatch):
    monkeypatch.setenv("MY_KEY", "own-secret")
    mlxk("deploy", "set", "tiny", "auth.api_key_env=MY_KEY")
    data, error, _ = mlxk("up", "--wait")
    assert error is None
    result, front = data["results"]
    assert served(result["port"], "own-secret")
    loaded, _, _ = mlxk("ps")
    assert loaded["url"] == f"http://127.0.0.1:{front['port']}"
    assert [model["name"] for model in loaded["models"]] == ["tiny"]
    direct = f"http://127.0.0.1:{result['port']}"
    for path, body in QUESTIONS.items():
        there = orjson.loads(asked(direct + path, body, "own-secret"))
        through = orjson.loads(asked(data["endpoint"] + path, body))
        assert words(through) == words(there), path
    row = mlxk("status")[0]["services"][0]
    assert (row["state"], row["tier"], row["owner"]) == ("healthy", "standard", "local")
    family = [row["pid"], *descendants(row["pid"]), front["pid"]]
    assert len(family) > 2
    assert [each["graceful"] for each in mlxk("down")[0]["results"]] == [True, True]
    assert gone(family)
    assert not list((tiny / "pids").iterdir())
    assert not list((tiny / "run").iterdir())
    written = b"".join(p.read_bytes() for p in tiny.rglob("*") if p.is_file())
    assert b"own-secret" not in written


def killed(pid, *others, name="tiny"):
    os.kill(pid, signal.SIGKILL)
    assert gone([pid, *others], within=20)
    assert mlxk("watch", name, "--until", "ready", "--timeout", "30")[2] == 0
    return mlxk("status")[0]


def test_it_survives_the_death_of_any_process(tiny):
    pid = mlxk("up")[0]["results"][0]["pid"]
    argv = [*MLXK, "watch", "--interval", "0.2"]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as watch:
        first = killed(descendants(pid)[0])
        assert first["services"][0]["pid"] == pid
        killed(pid, *descendants(pid))
        now = killed(first["gateway"]["pid"], name="gateway")
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(timeout=10) == 0
    row, front = now["services"][0], now["gateway"]
    assert (front["pid"] != first["gateway"]["pid"], front["restarts"]) == (True, 1)
    assert served(row["port"])
    assert served(front["port"])
    assert row["pid"] != pid
    family = [row["pid"], *descendants(row["pid"]), front["pid"]]
    mlxk("down")
    assert gone(family)


def test_a_model_that_is_missing_is_said_to_be(home):
    mlxk("deploy", "add", "absent", "--model", "org/absent", "--port", "auto")
    data, error, code = mlxk("up", "absent")
    assert code == 1
    assert data["plan"][0]["reason"] == "model_missing"
    assert data["results"][0]["error"]["type"] == "model_not_found"
    assert "mlxk pull org/absent" in error["hint"]
