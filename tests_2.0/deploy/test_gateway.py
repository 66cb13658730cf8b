"""The gateway as users meet it: a process of `up`, in front of real processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from http.client import RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import orjson
import pytest
from processes import gone
from stack_home import StackHome

from mlxk.deploy import demand, settings

MLXK = [sys.executable, "-m", "mlxk"]
ON_DEMAND = {"autostart": "on-demand"}
QUICK = {"max": 2, "window_s": 600, "base_s": 0.001, "cap_s": 0.001}


@pytest.fixture
def stack(home):
    made = StackHome(home / ".mlxk")
    yield made
    mlxk("down", "--all")
    made.close()


def mlxk(*argv):
    done = subprocess.run([*MLXK, *argv, "--json"], capture_output=True, check=False, timeout=90)
    value = orjson.loads(done.stdout)
    return value["data"], value["error"], done.returncode


def up(*argv):
    data, error, code = mlxk("up", *argv)
    assert code == 0, error
    return data


def service(name):
    data = mlxk("status")[0]
    if name == "gateway":
        return data["gateway"]
    return next(row for row in data["services"] if row["name"] == name)


def request(url, model, key=None, **body):
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **body}
    headers = {"Content-Type": "application/json", "X-Request-Id": "req-7"}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    return urlopen(Request(f"{url}/v1/chat/completions", orjson.dumps(body), headers), timeout=30)


def ask(url, model, key=None):
    try:
        with request(url, model, key) as reply:
            return reply.status, orjson.loads(reply.read())["choices"][0]["message"]["content"]
    except HTTPError as e:
        return e.code, orjson.loads(e.read())["error"]["code"]


def left_alone(url, model):
    """Whoever asks a gateway that ends gets no answer."""
    with pytest.raises((ConnectionError, RemoteDisconnected)):
        ask(url, model)


def told(stack, event):
    lines = (stack.home / "logs" / "events.ndjson").read_bytes().splitlines()
    return [row for row in map(orjson.loads, lines) if row["event"] == event]


def test_what_is_on_demand_runs_while_somebody_asks(stack):
    stack.chats("small", **ON_DEMAND, keep_alive="4s")
    stack.stack("small", routes={"standard": "small"})
    data = up()
    assert [(r["name"], r["outcome"]) for r in data["results"]] == [
        ("small", "skipped"),
        ("gateway", "started"),
    ]
    row = service("small")
    assert (row["state"], row["phase"], row["desired"]) == ("stopped", "idle", "on_demand")
    assert ask(data["endpoint"], "standard") == (200, "Hello world")
    row = service("small")
    assert (row["state"], row["phase"], row["desired"]) == ("healthy", "ready", "on_demand")
    assert row["expires_at"] is not None
    assert gone([row["pid"]], within=10)
    row = service("small")
    assert (row["state"], row["reason"]) == ("stopped", "keep_alive")
    assert [line["reason"] for line in told(stack, "stopped")] == ["keep_alive"]
    log = (stack.home / "logs" / "gateway.log").read_bytes().splitlines()
    (line,) = [row for row in map(orjson.loads, log) if row.get("id") == "req-7"]
    assert (line["answered_by"], line["status"]) == ("small", 200)
    mlxk("down")
    assert not list((stack.home / "pids").iterdir())
    assert not list((stack.home / "run").iterdir())


def test_memory_is_shared_and_whoever_leaves_knows_for_whom(stack):
    for name in ("a", "b"):
        stack.chats(name, **ON_DEMAND, memory_gb=1)
    stack.chats("pinned", memory_gb=1)
    stack.stack("a", "b", "pinned", budget_gb=2)
    url = up()["endpoint"]
    pinned = service("pinned")["pid"]
    assert ask(url, "a") == (200, "Hello world")
    assert ask(url, "org/b") == (200, "Hello world")
    row = service("a")
    assert (row["state"], row["reason"]) == ("stopped", "evicted_for:b")
    assert service("b")["state"] == "healthy"
    assert service("pinned")["pid"] == pinned
    assert mlxk("down", "a")[2] == 0
    assert ask(url, "a") == (503, "not_running"), "who was taken down stays down"
    up()
    assert ask(url, "a") == (200, "Hello world")
    up("b")
    assert service("b")["desired"] == "running", "who was named stays"


@pytest.mark.slow
def test_the_next_gateway_finds_what_the_killed_one_started(stack):
    stack.chats("small", "slow", **ON_DEMAND)
    stack.chats("other")
    stack.stack("small", "other", routes={"standard": "small"}, fallbacks=["standard", "other"])
    url = up()["endpoint"]
    with request(url, "standard", stream=True) as reply:
        reply.readline()
        pid = service("small")["pid"]
        stack.mode("small", "good")
        os.kill(pid, signal.SIGKILL)
        said = reply.read()
    assert gone([pid])
    assert b"small: the answer was cut off" in said
    assert ask(url, "standard") == (200, "Hello world"), "it is started again"
    before = service("small")["pid"]
    front = service("gateway")["pid"]
    assert before != pid
    os.kill(front, signal.SIGKILL)
    assert gone([front])
    assert mlxk("status", "--exit-code")[2] == 3
    data = up()
    assert ask(data["endpoint"], "standard") == (200, "Hello world")
    print(
        (stack.home / "logs" / "events.ndjson").read_text(),
        (stack.home / "logs" / "gateway.log").read_text(),
        (stack.home / "run" / "small.json").read_text(),
    )
    assert service("small")["pid"] == before
    os.kill(service("other")["pid"], signal.SIGKILL)
    assert ask(data["endpoint"], "other")[0] in (502, 503), "for `watch` to start again"
    assert ask(data["endpoint"], "standard") == (200, "Hello world")


@pytest.mark.slow
def test_down_ends_it_in_good_order_also_while_something_starts(stack):
    stack.add("never", "never", **ON_DEMAND)
    stack.stack("never")
    url = up()["endpoint"]
    asked = Thread(target=left_alone, args=(url, "never"))
    asked.start()
    wait(lambda: service("never")["pid"])
    pid = service("never")["pid"]
    results = {r["name"]: r["graceful"] for r in mlxk("down")[0]["results"]}
    asked.join()
    assert results == {"gateway": True, "never": True}
    assert gone([pid])
    assert not list((stack.home / "run").iterdir())


@pytest.mark.slow
def test_one_that_never_starts_is_given_up(stack):
    stack.chats("bad", "exit", **ON_DEMAND, restart=QUICK)
    stack.stack("bad")
    url = up()["endpoint"]
    assert [ask(url, "bad") for _ in range(3)] == [(503, "not_running")] * 3
    row = service("bad")
    assert (row["state"], row["phase"], row["last_exit"]) == ("crashed", "held", "exit:3")
    mlxk("restart", "gateway")
    stack.mode("bad", "good")
    assert ask(service("gateway")["url"], "bad") == (503, "not_running")
    up("bad", "--clear")
    assert ask(service("gateway")["url"], "bad") == (200, "Hello world")


@pytest.mark.slow
def test_a_port_that_is_taken_fails_the_gateway_alone(stack):
    stack.chats("small")
    stack.stack("small", gateway={})
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        mlxk("config", "set", "gateway-port", port)
        data, error, code = mlxk("up")
        assert (code, error["hint"]) == (1, "mlxk config set gateway-port N")
        results = {r["name"]: r for r in data["results"]}
        assert results["small"]["state"] == "healthy"
        assert results["gateway"]["error"]["type"] == "port_conflict"
    assert up()["endpoint"] == f"http://127.0.0.1:{port}"


def test_its_key_is_asked_for_and_is_nowhere_else(stack, monkeypatch):
    stack.chats("small", auth={"api_key_env": "SMALL_KEY"})
    stack.stack("small", gateway={"port": "auto", "api_key_env": "FRONT_KEY"})
    monkeypatch.setenv("SMALL_KEY", "small-secret")
    data, error, code = mlxk("up")
    assert (code, error["hint"]) == (1, "export FRONT_KEY=…")
    monkeypatch.setenv("FRONT_KEY", "front-secret")
    monkeypatch.setenv("HF_TOKEN", "hf-secret")
    data = up()
    assert ask(data["endpoint"], "small") == (401, "invalid_api_key")
    assert ask(data["endpoint"], "small", "front-secret") == (200, "Hello world")
    front = Path(f"/proc/{service('gateway')['pid']}/environ").read_bytes()
    assert (b"front-secret" in front, b"small-secret" in front, b"hf-secret" in front) == (
        True, True, False,
    )  # fmt: skip
    assert b"front-secret" not in Path(f"/proc/{service('small')['pid']}/environ").read_bytes()
    written = b"".join(p.read_bytes() for p in stack.home.rglob("*") if p.is_file())
    assert b"-secret" not in written


@pytest.mark.slow
def test_up_lets_it_read_the_documents_again(stack):
    stack.chats("small")
    stack.chats("other", **ON_DEMAND)
    stack.stack("small")
    data = up()
    url, pid = data["endpoint"], service("gateway")["pid"]
    assert ask(url, "fast") == (404, "model_not_found")
    stack.stack("small", "other", routes={"fast": "other", "*": "small"})
    up()
    wait(lambda: ask(url, "fast")[0] == 200)
    assert ask(url, "anything") == (200, "Hello world")
    assert service("gateway")["pid"] == pid
    other = service("other")["pid"]
    stack.chats("other", **ON_DEMAND, context=4096)
    assert ask(url, "fast") == (200, "Hello world")
    assert service("other")["pid"] != other, "an edited document is served by a new process"
    (stack.home / "stacks" / "mine.json").write_text("{")
    os.kill(pid, signal.SIGHUP)
    wait(lambda: b"documents_not_read" in (stack.home / "logs" / "gateway.log").read_bytes())
    assert ask(url, "fast") == (200, "Hello world")
    stack.stack("small", "other", gateway=None)
    up()
    assert gone([pid])
    assert service("gateway") is None


@pytest.mark.slow
def test_one_by_hand_is_alone_known_and_forgotten(stack):
    stack.chats("small")
    stack.stack("small")
    up("small")
    argv = [*MLXK, "gateway", "--json"]
    front = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        data = orjson.loads(front.stdout.readline())["data"]
        assert ask(data["url"], "small") == (200, "Hello world")
        assert service("gateway")["pid"] == data["pid"] == front.pid
        assert mlxk("gateway")[1]["type"] == "locked"
        front.send_signal(signal.SIGINT)
        assert front.wait(timeout=10) == 0
    finally:
        front.kill()
        front.communicate()
    assert service("gateway")["state"] == "stopped"


@pytest.mark.slow
def test_without_a_gateway_in_the_stack_nothing_changes(stack):
    stack.chats("small", **ON_DEMAND)
    stack.stack("small", gateway=None)
    data = up()
    assert [r["outcome"] for r in data["results"]] == ["skipped"]
    assert data["endpoint"] is None
    assert mlxk("status")[0]["gateway"] is None
    assert not (stack.home / "run").exists()
    assert mlxk("gateway")[1]["type"] == "not_found"


class Provider(BaseHTTPRequestHandler):
    asked: list

    def do_POST(self):
        self.asked.append((self.path, self.headers["Authorization"]))
        choice = {"message": {"role": "assistant", "content": "from far"}, "finish_reason": "stop"}
        body = orjson.dumps({"id": "x", "model": "m", "choices": [choice], "usage": {}})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def provider():
    """What a cloud would be; `asked` is everything that left."""
    own = type("Own", (Provider,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), own) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        server.asked, server.url = own.asked, f"http://127.0.0.1:{server.server_port}/v1"
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("enabled", "key", "leaves"),
    [(True, "OTHER_KEY", True), (True, "OPENROUTER_API_KEY", False), (False, "OTHER_KEY", False)],
    ids=["allowed, and the key is there", "no key in its variable", "not allowed"],
)
def test_nothing_leaves_unless_it_is_allowed_and_the_key_is_there(
    stack, provider, monkeypatch, enabled, key, leaves
):
    """The setting openrouter-key names the variable."""
    settings.save(stack.home, settings.Settings({"openrouter-key": "OTHER_KEY"}))
    monkeypatch.setenv(key, "cloud-secret")
    stack.chats("dead")
    cloud = {"enabled": enabled, "models": ["org/large"], "url": provider.url}
    stack.stack("dead", routes={"standard": "dead"}, cloud=cloud)
    url = up("gateway")["endpoint"]
    wanted = (200, "from far") if leaves else (503, "not_running")
    assert ask(url, "standard") == wanted
    assert ask(url, "org/large") == ((200, "from far") if leaves else (404, "model_not_found"))
    there = ("/v1/chat/completions", "Bearer cloud-secret")
    assert provider.asked == ([there, there] if leaves else [])
    environ = Path(f"/proc/{service('gateway')['pid']}/environ").read_bytes()
    assert (b"cloud-secret" in environ) == leaves


@pytest.mark.slow
def test_a_start_that_is_not_ready_in_time_leaves_no_process(stack):
    stack.add("never", "never", **ON_DEMAND, probe={"timeout_s": 0.3})
    stack.stack("never")
    url = up()["endpoint"]
    status, code = ask(url, "never")
    assert (status, code) == (504, "start_timeout")
    assert demand.find(stack.host, "never") is None
    row = service("never")
    assert (row["pid"], row["reason"]) == (None, "probe_timeout")


def wait(until, within=10.0):
    end = time.monotonic() + within
    while not until():
        assert time.monotonic() < end
        time.sleep(0.05)
