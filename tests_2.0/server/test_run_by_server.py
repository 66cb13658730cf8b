"""`mlxk run`: a server that has the model answers, else an engine of its own."""

import os
import pty
import signal
import subprocess
import time
from urllib.error import HTTPError

import orjson
import pytest
from processes import MLXK, Server

from mlxk.contract.validate import problems

PICTURE = bytes.fromhex("89504e470d0a1a0a")


@pytest.fixture
def server(home):
    started = []

    def start(*argv, **env):
        one = Server(*argv, "--port", "auto", "--log", str(home / "log"), env=os.environ | env)
        started.append(one)
        return one.ready()

    yield start
    for one in started:
        one.close()


def run(*argv, **env):
    done = subprocess.run(
        [*MLXK, "run", *argv, "--json"],
        capture_output=True,
        timeout=60,
        check=False,
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
    )
    assert b"Traceback" not in done.stderr
    envelope = orjson.loads(done.stdout)
    assert not problems("run", envelope)
    return envelope


def asked(home):
    """How many requests the server has logged."""
    log = home / "log"
    lines = log.read_bytes().splitlines() if log.exists() else []
    return sum(b"/v1/chat/completions" in line for line in lines)


def test_a_server_that_has_the_model_answers_the_same(server, home):
    own = run("builtin:tiny", "hello", "--temperature", "0")["data"]
    assert own["timings"]["load_s"] > 0
    server("builtin:tiny")
    theirs = run("builtin:tiny", "hello", "--temperature", "0")["data"]
    assert asked(home) == 1
    assert theirs["timings"].pop("load_s") is None
    assert theirs["timings"]["generation_tps"] > 0
    for answer in (own, theirs):
        answer.pop("timings")
        answer["usage"].pop("cached_tokens", None)
    assert theirs == own


@pytest.mark.slow
def test_limits_stops_and_schemas_go_through(server, home, tmp_path):
    server("builtin:tiny")
    short = run("builtin:tiny", "hello", "--max-tokens", "3")["data"]
    assert (short["finish_reason"], short["usage"]["completion_tokens"]) == ("length", 3)
    stopped = run("builtin:tiny", "hello", "--temperature", "0", "--stop", "tiny")["data"]
    assert "tiny" not in stopped["response"]
    (tmp_path / "schema").write_text('{"enum": ["yes", "no"]}')
    form = run("builtin:tiny", "hello", "--schema", str(tmp_path / "schema"))["data"]
    assert orjson.loads(form["response"]) in ("yes", "no")
    assert asked(home) == 3


@pytest.mark.slow
def test_a_server_with_a_key_answers_who_has_it(server, home):
    server("builtin:tiny", "--api-key-env", "MLXK_TEST_KEY", MLXK_TEST_KEY="sesame")
    assert run("builtin:tiny", "hello", MLXK_TEST_KEY="sesame")["data"]["response"]
    assert asked(home) == 1
    assert run("builtin:tiny", "hello")["data"]["response"]
    assert asked(home) == 1


@pytest.mark.slow
def test_a_server_whose_key_is_in_a_file_answers_who_may_read_it(server, home):
    key = home / "key"
    key.touch(0o600)
    key.write_text("sesame\n")
    one = server("builtin:tiny", "--api-key-file", str(key))
    with pytest.raises(HTTPError, match="401"):
        one.get("/v1/models")
    assert run("builtin:tiny", "hello")["data"]["response"]
    assert asked(home) == 1
    key.unlink()
    assert run("builtin:tiny", "hello")["data"]["timings"]["load_s"] > 0
    assert asked(home) == 1


def test_a_server_that_was_killed_is_forgotten(server, home):
    one = server("builtin:tiny")
    assert list((home / ".mlxk" / "servers").iterdir())
    one.send(signal.SIGKILL)
    one.ended()
    assert run("builtin:tiny", "hello")["data"]["timings"]["load_s"] > 0
    assert not list((home / ".mlxk" / "servers").iterdir())


@pytest.mark.slow
def test_a_server_that_ended_takes_its_name_away(server, home):
    one = server("builtin:tiny")
    one.send(signal.SIGTERM)
    assert one.ended() == 0
    assert not list((home / ".mlxk" / "servers").iterdir())


@pytest.mark.parametrize("serving", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_picture_is_refused_before_anything_is_loaded(server, home, tmp_path, serving):
    if serving:
        server("builtin:tiny")
    (tmp_path / "a.png").write_bytes(PICTURE)
    began = time.monotonic()
    error = run("builtin:tiny", "what is it?", "--image", str(tmp_path / "a.png"))["error"]
    assert (error["type"], "text only" in error["message"]) == ("invalid_value", True)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("name", "type_"), [("none.png", "not_found"), ("schema.json", "invalid_value")]
)
def test_a_file_that_is_no_picture_is_named(home, tmp_path, name, type_):
    error = run("builtin:tiny", "what is it?", "--image", str(tmp_path / name))["error"]
    assert error["type"] == type_
    assert name in error["message"]


def test_a_chat_on_a_terminal_goes_through_the_server(server, home):
    one = server("builtin:tiny")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(MLXK[0], [*MLXK, "run", "builtin:tiny"])
    seen = b""

    def until(text):
        nonlocal seen
        while text not in seen:
            seen += os.read(terminal, 1000)
        seen = seen.partition(text)[2]

    until(f"builtin:tiny at {one.url}".encode())
    until(b"> ")
    os.write(terminal, b"hello\n")
    until(b"tiny demo model")
    until(b"> ")
    os.write(terminal, b"/exit\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert asked(home) == 1
