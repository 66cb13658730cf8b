"""`mlxk serve` as a process: ready once, served until a signal, nothing left behind."""

import asyncio
import http.client
import os
import pty
import shlex
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import aiohttp
import orjson
import pytest
from answering import answering
from processes import MLXK, Server, descendants, gone
from waiting import until

from mlxk.contract.validate import problems
from mlxk.hub import builtin

HI = {"messages": [{"role": "user", "content": "hello"}]}
LONG = HI | {"stream": True, "temperature": 1.5, "max_tokens": 4000, "logit_bias": {"0": -100}}


def named(value):
    return " ".join(value)[:40] if isinstance(value, list) else str(value)


@pytest.fixture
def server(home):
    started = []

    def start(*argv, **options):
        one = Server(*argv, **options)
        started.append(one)
        return one

    yield start
    for one in started:
        one.close()


@contextmanager
def hangups(handler):
    """What a process that is started here does at SIGHUP; these tests, too, may run under nohup."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.fixture
def own(server):
    with hangups(signal.SIG_DFL):
        return server("builtin:tiny", "--port", "auto").ready()


def test_it_says_once_where_it_serves(own):
    data = own.envelope["data"]
    assert not problems("serve", own.envelope)
    assert data["models"] == [{"name": "builtin:tiny", "state": "ready"}]
    assert data["pid"] == own.process.pid
    assert own.get("/health")["status"] == "ok"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
def test_a_signal_ends_it_and_leaves_nothing(own, number):
    children = own.children()
    began = time.monotonic()
    own.send(number)
    assert own.ended() == 0
    assert time.monotonic() - began < 5
    assert own.stdout == b""
    assert gone(children)
    with socket.socket() as s:
        s.bind(("127.0.0.1", own.envelope["data"]["port"]))


def test_a_terminal_that_closes_cuts_no_answer_short(own):
    """The shell and the system both say so."""
    with own.post("/v1/chat/completions", LONG | {"max_tokens": 60}) as answer:
        lines = iter(answer)
        next(lines)
        own.send(signal.SIGHUP)
        own.send(signal.SIGHUP)
        assert b"data: [DONE]\n" in list(lines)
    assert own.ended() == 0


def test_with_nohup_it_outlives_its_terminal(server):
    with hangups(signal.SIG_IGN):
        own = server("builtin:tiny", "--port", "auto").ready()
    own.send(signal.SIGHUP)
    time.sleep(0.2)
    assert own.get("/health")["status"] == "ok"


def test_kill_leaves_no_child_behind(own):
    children = own.children()
    assert children
    own.send(signal.SIGKILL)
    assert gone(children)


def test_sigint_lets_an_answer_end_and_begins_no_other(own):
    with own.post("/v1/chat/completions", HI | {"stream": True}) as lines:
        next(lines)
        own.send(signal.SIGINT)
        assert [line for line in lines if line.strip()][-1] == b"data: [DONE]\n"
    assert own.ended() == 0


def test_a_log_that_cannot_be_written_costs_no_answer(server):
    one = server("builtin:tiny", "--port", "auto", "--log", "/dev/full").ready()
    for stream in (False, True):
        with one.post("/v1/chat/completions", HI | {"stream": stream, "max_tokens": 2}) as response:
            assert b"length" in response.read()


def test_who_does_not_read_stderr_or_leaves_costs_no_answer(home):
    argv = [*MLXK, "serve", "builtin:tiny", "--port", "auto", "--json"]
    one = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    url = orjson.loads(one.stdout.readline())["data"]["url"]
    ask = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    for turn in range(1000):
        if turn == 900:  # until then it only does not read: a pipe holds some 500 lines
            one.stderr.close()
        ask.request("GET", "/v1/models", headers={"X-Request-Id": "r" * 90})
        assert orjson.loads(ask.getresponse().read())["data"]
    ask.close()
    one.send_signal(signal.SIGTERM)
    one.stdout.close()
    assert one.wait(10) == 0


def test_more_connections_than_a_shell_allows_at_first_leave_nobody_out(home):
    serve = shlex.join([*MLXK, "serve", "builtin:tiny", "--port", "auto", "--json"])
    argv = ["bash", "-c", f"ulimit -S -n 64; exec {serve}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as one:
        data = orjson.loads(one.stdout.readline())["data"]
        idle = [socket.create_connection((data["host"], data["port"])) for _ in range(100)]
        with urlopen(f"{data['url']}/health", timeout=10) as response:
            assert response.status == 200
        for each in idle:
            each.close()
        one.send_signal(signal.SIGTERM)


def test_a_second_sigint_does_not_wait(own, home):
    with own.post("/v1/chat/completions", LONG) as lines:
        next(lines)
        children = own.children()
        until(lambda: own.send(signal.SIGINT) or own.process.poll() is not None)
    assert gone(children)


def test_sigterm_cuts_off_what_is_running(own):
    with own.post("/v1/chat/completions", LONG) as lines:
        next(lines)
        children = own.children()
        own.send(signal.SIGTERM)
        assert own.ended(within=5) == 0
    assert gone(children)


def test_a_port_in_use_is_named_with_a_way_out(server):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        second = server("builtin:tiny", "--port", port).ready()
    assert second.ended() == 1
    assert second.envelope["error"]["type"] == "port_conflict"
    assert "--port auto" in second.envelope["error"]["hint"]


@pytest.mark.parametrize(
    ("argv", "type_", "code"),
    [
        (["nobody/nothing"], "model_not_found", 1),
        (["builtin:tiny", "--port", "x"], "usage_error", 2),
        (["builtin:tiny", "--port", "70000"], "usage_error", 2),
        (["builtin:tiny", "--api-key-env", "MLXK_NO_SUCH"], "invalid_value", 2),
        (["builtin:tiny", "--host", "192.0.2.1"], "invalid_value", 2),
        (["builtin:tiny", "--memory-gb", "0.001", "--port", "auto"], "out_of_memory", 1),
    ],
    ids=named,
)
def test_what_cannot_be_served_is_an_envelope(server, argv, type_, code):
    one = server(*argv).ready()
    assert one.envelope["error"]["type"] == type_
    assert not problems("serve", one.envelope)
    assert one.ended() == code


def run(*argv, text=None):
    done = subprocess.run(
        [*MLXK, "run", *argv], input=text, capture_output=True, timeout=60, check=False
    )
    assert b"Traceback" not in done.stderr
    return done


def test_run_answers_with_measures(home):
    done = run("builtin:tiny", "hello", "--json")
    envelope = orjson.loads(done.stdout)
    assert not problems("run", envelope)
    data = envelope["data"]
    assert data["finish_reason"] == "stop"
    assert data["usage"]["completion_tokens"] > 3
    assert data["timings"]["generation_tps"] > 0


def test_run_reads_a_pipe_and_prints_text(home):
    piped = run("builtin:tiny", text=b"hello")
    whole = run("builtin:tiny", "hello", "--no-stream")
    assert piped.stdout == whole.stdout
    assert b"tiny" in piped.stdout


def test_an_answer_that_cannot_be_written_is_a_failure(home):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*MLXK, "run", "builtin:tiny", "hello"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert b"no space left" in done.stderr
    assert b"Traceback" not in done.stderr


def test_run_counts_what_it_may_say(home):
    data = orjson.loads(run("builtin:tiny", "hello", "--max-tokens", "3", "--json").stdout)["data"]
    assert (data["finish_reason"], data["usage"]["completion_tokens"]) == ("length", 3)


def test_run_shows_events(home):
    *events, last = map(orjson.loads, run("builtin:tiny", "hi", "--events").stdout.splitlines())
    said = "".join(event["text"] for event in events if event["type"] == "text")
    assert said.rstrip("\n") == last["data"]["response"]


@pytest.mark.parametrize(
    ("argv", "type_", "code"),
    [
        (["builtin:tiny", ""], "usage_error", 2),
        (["builtin:tiny", "-"], "usage_error", 2),
        (["builtin:none", "hi"], "model_not_found", 1),
        (["builtin:tiny", "hi", "--temperature", "-1"], "usage_error", 2),
        (["builtin:tiny", "hi", "--schema", "/no/such/file"], "not_found", 1),
        (["builtin:tiny", " ".join(map(str, range(9000)))], "context_length_exceeded", 1),
    ],
    ids=named,
)
def test_what_run_cannot_do_is_an_envelope(home, argv, type_, code):
    done = run(*argv, "--json", text=b"")
    envelope = orjson.loads(done.stdout)
    assert not problems("run", envelope)
    assert (envelope["error"]["type"], done.returncode) == (type_, code)


def test_a_broken_model_is_refused_before_anything_starts(home, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    done = run(str(tmp_path), "hi", "--json")
    error = orjson.loads(done.stdout)["error"]
    assert error["type"] == "model_unhealthy"
    assert error["hint"] == f"mlxk health {tmp_path} names all that is wrong"


def test_a_broken_workspace_says_where_its_like_is(home, tmp_path):
    broken = copied(tmp_path / "model")
    (broken / "tokenizer.json").unlink()
    (broken / ".mlxk-origin.json").write_text('{"origin": "org/m"}')
    error = orjson.loads(run(str(broken), "hi", "--json").stdout)["error"]
    assert error["hint"] == "mlxk clone org/m NEW-FOLDER makes a whole copy"


def test_ctrl_c_says_what_was_answered(home):
    argv = ["builtin:tiny", "hello", "--temperature", "2", "--max-tokens", "4000", "--json"]
    bias = subprocess.Popen([*MLXK, "run", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: descendants(bias.pid))
    bias.send_signal(signal.SIGINT)
    out, err = bias.communicate(timeout=10)
    envelope = orjson.loads(out)
    assert not problems("run", envelope)
    assert b"Traceback" not in err
    if envelope["status"] == "error":
        assert (envelope["error"]["type"], bias.returncode) == ("interrupted", 130)


def test_on_a_terminal_it_chats(home):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(MLXK[0], [*MLXK, "run", "builtin:tiny"])
    screen = Screen(terminal)
    screen.until("> ")
    screen.type("hello\n")
    screen.until("tiny demo model")
    screen.until("> ")
    screen.type("/clear\n/exit\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def copied(folder, **config):
    shutil.copytree(builtin.folder("builtin:tiny"), folder)
    known = orjson.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_bytes(orjson.dumps(known | config))
    return folder


def test_a_question_that_is_refused_does_not_end_the_chat(home, tmp_path):
    model = copied(tmp_path / "model", max_position_embeddings=100)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(MLXK[0], [*MLXK, "run", str(model)])
    screen = Screen(terminal)
    screen.until("> ")
    screen.type("hello there " * 50 + "\n")
    screen.until("mlxk: the prompt has")
    screen.until("> ")
    screen.type("hello\n")
    screen.until("tiny demo model")
    screen.until("> ")
    screen.type("hello there " * 50 + "\n")
    screen.until("hint: /clear forgets")
    screen.until("> ")
    screen.type("/exit\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.slow
def test_a_chat_ends_when_its_engine_does_not_start_any_more(home, tmp_path):
    model = copied(tmp_path / "model")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(MLXK[0], [*MLXK, "run", str(model)])
    screen = Screen(terminal)
    screen.until("> ")
    for weights in model.glob("*.safetensors"):
        weights.write_bytes(b"gone")
    (engine,) = descendants(pid)
    os.kill(engine, signal.SIGKILL)
    screen.type("hello\n")
    screen.until("mlxk: ")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


class Screen:
    def __init__(self, terminal):
        self._terminal = terminal
        self._seen = ""

    def type(self, text):
        os.write(self._terminal, text.encode())

    def until(self, text):
        while text not in self._seen:
            self._seen += os.read(self._terminal, 1000).decode(errors="replace")
        self._seen = self._seen.partition(text)[2]


def test_two_models_are_served_and_one_that_does_not_fit_waits(server, tmp_path):
    """Both are the demo model, which weighs four megabytes; six are allowed."""
    copy = tmp_path / "copy"
    shutil.copytree(builtin.folder("builtin:tiny"), copy)
    one = server("builtin:tiny", str(copy), "--port", "auto", "--memory-gb", "0.006").ready()
    states = {model["name"]: model["state"] for model in one.envelope["data"]["models"]}
    assert states == {"builtin:tiny": "ready", str(copy): "stopped"}
    for name in (str(copy), "builtin:tiny"):
        with one.post("/v1/chat/completions", HI | {"model": name}) as response:
            assert orjson.loads(response.read())["choices"][0]["message"]["content"]
    children = one.children()
    one.send(signal.SIGTERM)
    assert one.ended() == 0
    assert gone(children)


def ps(*argv):
    done = subprocess.run(
        [*MLXK, "ps", *argv, "--json"], capture_output=True, timeout=30, check=False
    )
    envelope = orjson.loads(done.stdout)
    assert not problems("ps", envelope)
    return envelope


def test_ps_shows_what_a_server_has_loaded(tiny):
    (model,) = ps(tiny.url)["data"]["models"]
    assert (model["name"], model["phase"], model["context_length"]) == (
        "builtin:tiny",
        "ready",
        4096,
    )


@pytest.mark.parametrize(
    ("url", "type_"), [("http://127.0.0.1:9", "not_found"), ("file:///etc/passwd", "invalid_value")]
)
def test_ps_without_a_server_says_so(url, type_):
    assert ps(url)["error"]["type"] == type_


@pytest.mark.parametrize("body", [b'{"models": [{"name": "llama3"}]}', b"[]", b"hello"], ids=repr)
def test_ps_knows_a_stranger(body):
    """Ollama has the path, too."""
    with answering({"/api/ps": (200, {}, body)}) as (url, _):
        error = ps(url)["error"]
    assert (error["type"], error["message"]) == ("not_found", f"{url} is no mlxk server")


async def test_two_hundred_readers_that_leave_free_the_engine(tiny):
    asked = HI | {"stream": True, "temperature": 2, "max_tokens": 3000, "ignored": True}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def glance():
            async with http.post(f"{tiny.url}/v1/chat/completions", json=asked) as response:
                await response.content.readany()
                response.close()

        await asyncio.gather(*(glance() for _ in range(200)))

    def is_idle():
        health = tiny.get("/health")
        return (health["active_sequences"], health["queued"]) == (0, 0)

    until(is_idle)
