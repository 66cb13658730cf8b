"""An agent whose model a server of this user has already: it is not loaded twice."""

import os
import signal
import subprocess

import checkout
import orjson
import pytest
from processes import MLXK, Server

ASK = "Create a file hello.txt containing Hello world"


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo")


@pytest.fixture
def server(home):
    one = Server("builtin:tiny", "--port", "auto", "--log", str(home / "log"), env={**os.environ})
    yield one.ready()
    one.close()


def agent(repo, *argv):
    done = subprocess.run(
        [*MLXK, "agent", "--json", *argv], cwd=repo, capture_output=True, check=False, timeout=120
    )
    return orjson.loads(done.stdout)


@pytest.mark.slow
def test_a_server_that_has_the_model_answers(repo, home, server):
    value = agent(repo, ASK, "--branch", "work")
    assert value["data"]["commits"][-1]["files"] == ["hello.txt"]
    assert value["data"]["timings"]["load_s"] is None
    assert (home / "log").read_bytes().count(b"/v1/chat/completions") == 2
    server.send(signal.SIGKILL)
    server.ended()
    value = agent(repo, "--resume", "work", "Create a file more.txt containing more")
    assert (value["status"], value["data"]["timings"]["load_s"] > 0) == ("success", True)
