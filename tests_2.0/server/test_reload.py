"""SIGHUP: a server reads its document again while its model stays and its answers go on."""

import os
import signal
import time

import orjson
import pytest
from processes import Server

from mlxk.deploy import record
from mlxk.deploy.store import Store

TINY = {"name": "one", "model": "builtin:tiny", "server": {"model_id": "first"}}
LONG = {"messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 3000}


class Declared:
    """A server of a deployment, its document, and what it has logged."""

    def __init__(self, home):
        self.store = Store(home / ".mlxk")
        self.log = home / "log"
        self.store.save(TINY)
        env = os.environ | {"MLXK_TEST_KEY": "sesame"}
        argv = ("--deployment", "one", "--port", "auto", "--log", str(self.log))
        self.server = Server(*argv, env=env).ready()

    def reload(self):
        """Send the signal; what the log says of it."""
        before = len(self.lines())
        self.server.send(signal.SIGHUP)
        for _ in range(200):
            if told := [line for line in self.lines()[before:] if "event" in line]:
                return told[-1]
            time.sleep(0.02)
        raise AssertionError("the signal was not heard")

    def lines(self):
        text = self.log.read_bytes() if self.log.exists() else b""
        return [orjson.loads(line) for line in text.splitlines()]

    def status(self, path, **headers):
        from urllib.error import HTTPError
        from urllib.request import Request, urlopen

        try:
            with urlopen(Request(self.server.url + path, headers=headers), timeout=10) as response:
                return response.status, orjson.loads(response.read())
        except HTTPError as e:
            with e:
                return e.code, None


@pytest.fixture
def declared(home):
    one = Declared(home)
    yield one
    one.server.close()


def test_names_and_keys_change_and_the_model_stays(declared):
    children = declared.server.children()
    with declared.server.post("/v1/chat/completions", LONG | {"temperature": 2}) as lines:
        next(lines)
        auth = {"api_key_env": "MLXK_TEST_KEY"}
        declared.store.save(
            TINY | {"server": {"model_id": "second"}, "auth": auth, "keep_alive": "5m"}
        )
        told = declared.reload()
        assert told["event"] == "reloaded"
        assert sorted(told["changed"]) == ["api_key_env", "keep_alive", "model_id"]
        assert told["restart_for"] == []
        assert next(line for line in lines if line.startswith(b"data: {"))
    assert declared.status("/v1/models") == (401, None)
    _, body = declared.status("/v1/models", Authorization="Bearer sesame")
    assert [model["id"] for model in body["data"]] == ["second"]
    _, resident = declared.status("/api/ps", Authorization="Bearer sesame")
    assert resident["models"][0]["expires_at"] is not None
    assert declared.server.children() == children


@pytest.mark.slow
def test_what_was_reloaded_needs_no_restart(declared):
    declared.store.save(TINY | {"keep_alive": "5m"})
    declared.reload()
    known = record.read(declared.store.home, "one")
    assert known.pid == declared.server.process.pid
    assert known.config_digest == declared.store.load("one").digest


def test_what_needs_a_restart_is_said(declared):
    declared.store.save(TINY | {"context": 64, "server": {"draft": "off"}})
    assert sorted(declared.reload()["restart_for"]) == ["context", "draft"]
    known = record.read(declared.store.home, "one")
    assert known.config_digest != declared.store.load("one").digest
    assert sorted(declared.reload()["restart_for"]) == ["context", "draft"]


@pytest.mark.parametrize(
    "fields",
    [
        {"context": "long"},
        pytest.param({"auth": {"api_key_env": "MLXK_NO_SUCH_KEY"}}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_wrong_document_changes_nothing(declared, fields):
    path = declared.store.path("one")
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | fields))
    told = declared.reload()
    assert told["event"] == "reload_failed"
    assert told["message"]
    _, body = declared.status("/v1/models")
    assert [model["id"] for model in body["data"]] == ["first"]
