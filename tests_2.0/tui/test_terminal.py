"""`mlxk agent` on a terminal, the whole program, with its own engine."""

import os
import shutil
import signal
import subprocess

import checkout
import pytest
from terminal import MLXK, Terminal

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
ASK = "Create a file hello.txt containing Hello world"


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo")


@pytest.fixture
def open_terminal(repo):
    """`open_terminal(*argv)`: `mlxk agent *argv` in the repository."""
    opened = []

    def open_(*argv, **options):
        opened.append(Terminal(repo, "agent", *argv, **options))
        return opened[-1]

    yield open_
    for terminal in opened:
        terminal.close()


def test_a_prompt_becomes_a_commit_and_leaving_says_where_it_is(open_terminal, repo):
    before = checkout.fingerprint(repo)
    terminal = open_terminal()
    terminal.sees("Ask for something")
    terminal.type(ASK)
    terminal.sees("● Write hello.txt", "ready")
    terminal.keys("C-d")
    terminal.sees("that has not landed")
    terminal.keys("y")
    said = terminal.sees("ended with 0")
    assert "mlxk/create-a-file-hello-txt-containing is kept" in said.replace("\n", "")
    branch = "mlxk/create-a-file-hello-txt-containing"
    assert checkout.git(repo, "show", f"{branch}:hello.txt") == "Hello world"
    assert checkout.fingerprint(repo) == before


def test_a_signal_leaves_the_terminal_as_it_was(open_terminal):
    terminal = open_terminal()
    terminal.sees("Ask for something", "builtin:tiny")
    os.kill(terminal.pid, signal.SIGTERM)
    said = terminal.sees("ended with 143")
    assert "Traceback" not in said
    assert "terminated; the work so far is kept" in said


def test_outside_of_a_repository_nothing_opens(home, tmp_path):
    terminal = Terminal(tmp_path, "agent")
    try:
        assert "notinsideagitrepository" in "".join(terminal.sees("ended with 1").split())
    finally:
        terminal.close()


@pytest.mark.slow
def test_a_command_gets_the_terminal_to_itself(open_terminal):
    terminal = open_terminal()
    terminal.sees("Ask for something", "new")
    terminal.type("$printf 'name? '; read name; echo hello $name; read wait")
    terminal.sees("name?")
    terminal.type("Ada")
    terminal.sees("hello Ada")
    terminal.keys("Enter")
    terminal.sees("Ask for something")
    terminal.type("/help")
    terminal.sees("/branch")


@pytest.mark.slow
def test_two_on_one_session_the_second_is_offered_a_branch(open_terminal):
    first = open_terminal()
    first.sees("Ask for something")
    first.type(ASK)
    first.sees("● Write hello.txt", "ready")
    second = open_terminal("--resume", "create-a-file-hello-txt-containing")
    second.sees("another process is writing")
    second.keys("y")
    second.sees("● Write hello.txt", "1 ○ create-a-file")
    second.type(ASK.replace("hello", "other"))
    second.sees("● Write other.txt", "ready")


@pytest.mark.slow
def test_a_killed_face_loses_nothing(open_terminal, repo):
    terminal = open_terminal()
    terminal.sees("Ask for something")
    terminal.type(ASK)
    terminal.sees("● Write hello.txt", "ready")
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.sees("ended with 137")
    again = open_terminal("--resume", "create-a-file-hello-txt-containing")
    again.sees("Create a file hello.txt", "● Write hello.txt")
    assert checkout.git(repo, "fsck", "--strict", "--no-dangling") == ""


@pytest.mark.slow
def test_twenty_columns_and_a_storm_of_sizes(open_terminal):
    terminal = open_terminal(size=(20, 10))
    terminal.sees("ready")
    terminal.type("!echo 你好 שלום; seq 100000")
    for n in range(30):
        terminal.resize(20 + 7 * n % 90, 6 + n % 30)
    terminal.resize(20, 10)
    terminal.sees("more")
    terminal.resize(90, 30)
    terminal.type("/help")
    terminal.sees("/branch", "Esc closes")


@pytest.mark.slow
def test_a_dead_engine_is_replaced(open_terminal):
    terminal = open_terminal()
    terminal.sees("Ask for something", "ready")
    engines = subprocess.check_output(["pgrep", "-P", str(terminal.pid)]).split()
    for engine in engines:
        os.kill(int(engine), signal.SIGKILL)
    terminal.type(ASK)
    terminal.sees("● Write hello.txt", "ready")


@pytest.mark.slow
def test_keys_of_a_plain_terminal_reach_the_tabs(open_terminal):
    terminal = open_terminal()
    terminal.sees("Ask for something", "new")
    terminal.keys("C-t")
    terminal.sees("2 ○ new")
    terminal.keys("M-1")
    terminal.type("/tab")
    terminal.sees("* 1 new")
    terminal.keys("F8")
    terminal.type("/tab")
    terminal.sees("* 2 new")
    terminal.keys("C-d")
    terminal.sees("1 ○ new")
    terminal.keys("C-d")
    terminal.sees("ended with 0")


def test_lines_from_a_pipe(home, repo):
    lines = f"{ASK}\n/diff --all\n/land\n/exit\n"
    env = os.environ | {"TERM": "dumb"}
    argv = [MLXK, "agent", "--bare"]
    done = subprocess.run(
        argv, input=lines, capture_output=True, text=True, cwd=repo, env=env, check=True
    )
    assert "* Write hello.txt" in done.stdout
    assert "+Hello world" in done.stdout
    assert "landed on main" in done.stdout
    assert (repo / "hello.txt").read_text() == "Hello world"
