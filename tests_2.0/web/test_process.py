"""`mlxk agent --web` as people start it: a process, a real engine, a signal."""

import os
import re
import signal
import subprocess
import time
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, Request, build_opener

import checkout
import orjson
import pytest
from processes import MLXK, descendants, gone


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo")


def started(repo, *argv):
    process = subprocess.Popen(
        [*MLXK, "agent", "--web", "--json", *argv],
        cwd=repo,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return process, orjson.loads(process.stdout.readline())["data"]


class Browser:
    def __init__(self, page):
        self.page = page
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()))
        with self._opener.open(page["link"], timeout=10) as response:
            self._key = re.search(r'name="key" content="([^"]+)"', response.read().decode())[1]

    def ask(self, path, body=None):
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json", "X-Mlxk": self._key}
        request = Request(f"{self.page['url']}api/{path}", data, headers)
        with self._opener.open(request, timeout=30) as response:
            return orjson.loads(response.read())


def until(look, wanted):
    for _ in range(600):
        if wanted(found := look()):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def test_work_in_a_browser_outlives_ctrl_c_and_no_process_does(repo):
    process, page = started(repo)
    browser = Browser(page)
    ask = "Create a file hello.txt containing Hello world"
    browser.ask("new", {"prompt": ask})

    def sessions():
        return browser.ask("sessions")["sessions"]

    until(sessions, lambda found: found and found[0]["state"] == "idle")
    family = [process.pid, *descendants(process.pid)]
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, b"")
    assert page["link"].partition("token=")[2].encode() not in errors
    assert gone(family)
    branch = "mlxk/create-a-file-hello-txt-containing"
    assert checkout.git(repo, "show", f"{branch}:hello.txt") == "Hello world"


def test_a_used_link_is_dead_and_a_taken_port_is_said(repo):
    process, page = started(repo)
    try:
        Browser(page)
        with pytest.raises(HTTPError, match="401"):
            Browser(page)
        argv = [*MLXK, "agent", "--web", "--json", "--port", str(page["port"])]
        second = subprocess.run(argv, cwd=repo, capture_output=True, check=False, timeout=60)
        assert orjson.loads(second.stdout)["error"]["type"] == "port_conflict"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


@pytest.mark.parametrize(
    ("flag", "error"), [("--resume", "session_not_found"), ("--model", "model_not_found")]
)
def test_what_is_not_there_is_said_before_any_page(repo, flag, error):
    wrong = subprocess.run(
        [*MLXK, "agent", "--web", "--json", flag, "nope"],
        cwd=repo,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert orjson.loads(wrong.stdout)["error"]["type"] == error


@pytest.mark.parametrize("argv", [["--land"], ["--futures", "2"], ["--port", "x"], ["--bare"]])
def test_what_does_not_go_with_a_page_is_refused(repo, argv):
    done = subprocess.run(
        [*MLXK, "agent", "--web", "--json", *argv],
        cwd=repo,
        capture_output=True,
        check=False,
        timeout=60,
        env=os.environ,
    )
    assert (done.returncode, orjson.loads(done.stdout)["status"]) == (2, "error")
