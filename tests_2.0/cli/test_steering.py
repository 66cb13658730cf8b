"""What a model writes is shown on a terminal, and does not steer it; a pipe gets it as it is."""

import os
import select
from io import StringIO

import pytest

from mlxk.agent import events
from mlxk.agent.events import Sender
from mlxk.cli.agent import live
from mlxk.cli.answers import answers
from mlxk.cli.run import Said, _live
from mlxk.system import clock
from mlxk.system.lines import Lines

NASTY = "\x1b[2J\x1b]0;mine\x07all \x1b[31mgood\u202e\r"


@pytest.fixture
def terminal():
    """`terminal()` is what has been written to it."""
    above, below = os.openpty()
    with open(below, "w") as out, open(above, "rb", buffering=0) as screen:  # noqa: PTH123

        def seen():
            out.flush()
            read = b""
            while select.select([screen], [], [], 0.2)[0]:
                read += screen.read(4096)
            return read.decode()

        seen.out = out
        yield seen


def told(show, *payloads):
    sender = Sender(show, "s", clock.now)
    for payload in payloads:
        sender.send(payload)


def test_an_answer_and_its_calls_do_not_steer_a_terminal(terminal):
    show = live(terminal.out, terminal.out)
    told(show, events.TextDelta(NASTY), events.ToolStarted("1", "Bash", NASTY))
    assert terminal() == "all good• Bash all good\r\n"


def test_a_run_does_not_steer_a_terminal(terminal):
    _live(terminal.out, terminal.out)(Said("text", NASTY))
    assert terminal() == "all good"


def test_a_pipe_gets_every_byte():
    out = StringIO()
    told(live(out, out), events.TextDelta(NASTY))
    assert out.getvalue() == NASTY


async def test_a_call_cannot_hide_what_it_asks_for(capsys, monkeypatch):
    reader, writer = os.pipe()
    os.write(writer, b"n\n")
    monkeypatch.setattr("mlxk.cli.answers.Lines", lambda: Lines(reader))
    asked = events.PermissionAsked("1", "Bash", "rm -rf .\x1b[2K\rls")
    async with answers("terminal") as answer:
        assert answer is not None
        assert await answer(asked) is False
    assert capsys.readouterr().err == "Bash rm -rf .ls\nallow? [y/N] "
