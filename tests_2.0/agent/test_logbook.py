"""A run as a log: what is in it, and that it never holds up the run."""

import os
from pathlib import Path

import checkout
import pytest

from mlxk.agent import Agent
from mlxk.agent.events import Event, TextDelta, ThinkingDelta, ToolStarted
from mlxk.agent.logbook import Logbook, logbook
from mlxk.chat.scripted import Scripted, call
from mlxk.chat.types import Text, Thinking
from mlxk.contract.errors import InvalidValue
from mlxk.contract.notes import collecting

WRITE = call("Write", '{"path": "n.txt", "content": "hi\\n"}')
DELTA = Event("text.delta", 1, "2026-01-02T03:04:05Z", "s1", 1, TextDelta("word"))


def told(*payloads):
    """What a book holds after payloads, each a pair (session, payload)."""
    written = []
    book = Logbook(written.append, "do it")
    for session, data in payloads:
        book.hear(Event(data.type, 1, "2026-01-02T03:04:05Z", session, 1, data))
    return "".join(written)


async def test_a_run_can_be_read_afterwards(home, tmp_path):
    repo, file = checkout.make(tmp_path / "repo"), tmp_path / "logs" / "run.log"
    model = Scripted([Thinking("Hm."), Text("I write."), WRITE], "Done.")
    with logbook(file, "write it") as log:
        await Agent(model=model, folder=repo).run("write it", listener=log)
    text = file.read_text()
    for line in ("> write it", "thinking: Hm.", "I write.", "call Write", "ok Write", "Done."):
        assert line in text
    assert "commit" in text
    assert text.endswith("end: finished\n")


async def test_a_second_run_is_appended(home, tmp_path):
    repo, file = checkout.make(tmp_path / "repo"), tmp_path / "run.log"
    for _ in range(2):
        with logbook(file, "hello") as log:
            await Agent(model=Scripted("Hi."), folder=repo).run("hello", listener=log)
    assert file.read_text().count("end: finished") == 2


def test_words_go_out_as_they_come_and_all_else_begins_a_line():
    words = [("s1", TextDelta("a ")), ("s1", TextDelta("b")), ("s1", ToolStarted("1", "Ls", "{}"))]
    assert told(*words) == "a b\n03:04:05 call Ls {}\n"
    assert told(("s1", ThinkingDelta("hm")), ("s1", TextDelta("a"))) == "thinking: hm\na"


def test_the_lines_of_several_sessions_stay_apart():
    words = [
        ("s1", TextDelta("one ")),
        ("s2", TextDelta("x\ny")),
        ("s2", ToolStarted("1", "Ls", "{}")),
    ]
    assert told(*words) == "one \n[s2] x\n[s2] y\n03:04:05 [s2] call Ls {}\n"


def test_nothing_in_it_moves_a_terminal():
    text = told(("s1", TextDelta("\x1b[2J\x07")), ("s1", ToolStarted("1", "Ls", "\x1b]0;x")))
    assert not {"\x1b", "\x07"} & set(text)


def test_a_full_disk_is_a_warning_and_the_run_goes_on():
    with collecting() as notes, logbook(Path("/dev/full"), "x") as log:
        log(DELTA)
        log(DELTA)
    assert [n.code for n in notes] == ["log_lost"]


def test_a_pipe_that_nobody_reads_is_refused_and_a_stalled_one_loses_words(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InvalidValue, match="pipe"), logbook(pipe, "x"):
        pass
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with logbook(pipe, "x") as log:
        for _ in range(100_000):
            log(DELTA)
    os.close(reader)
