"""Logs: read, followed, archived, and no line is lost while the writer goes on."""

import gzip
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import takewhile

import orjson
import pytest

from mlxk.contract.errors import InvalidValue, NotFound
from mlxk.deploy import events, follow, logs
from mlxk.deploy.record import Record
from mlxk.system import files, process

WRITER = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
count = 0
while not os.path.exists(sys.argv[2]):
    for _ in range(50):
        os.write(fd, b"line %d\\n" % count)
        count += 1
print(count)
"""


@pytest.fixture
def home(tmp_path):
    (tmp_path / "logs").mkdir()
    return tmp_path


def write(home, text, name="a"):
    with logs.path_of(home, name).open("a") as file:
        file.write(text)


def texts(home, **options):
    lines, truncated = logs.lines(home, "a", **{"tail": 0, **options})
    return [line.text for line in lines], truncated


def test_the_last_lines_are_shown(home):
    write(home, "one\ntwo\nthree\n")
    assert texts(home, tail=2) == (["two", "three"], True)
    assert texts(home, tail=9) == (["one", "two", "three"], False)


def test_a_log_that_is_not_there_is_said_to_be(home):
    with pytest.raises(NotFound):
        texts(home)


def test_since_goes_by_the_time_that_lines_carry(home):
    write(home, "2026-01-01 10:00:00,1 old\n  more of it\n2026-01-01T11:00:00Z new\n  and more\n")
    assert texts(home, since="2026-01-01T10:30:00Z")[0] == [
        "2026-01-01T11:00:00Z new",
        "  and more",
    ]


def test_since_knows_the_time_in_what_our_own_server_writes(home):
    for hour in (10, 11):
        write(home, f'{{"time":"2026-01-01T{hour}:00:00Z","status":200}}\n')
    found, _ = texts(home, since="2026-01-01T10:30:00Z")
    assert found == ['{"time":"2026-01-01T11:00:00Z","status":200}']


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", "1970-01-01T00:50:00Z"),
        ("1h", "1970-01-01T00:00:00Z"),
        ("999999999d", "1970-01-01T00:00:00Z"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
    ],
)
def test_moments(text, moment):
    assert logs.moment(text, 3600.0) == moment


@pytest.mark.parametrize("text", ["soon", "", "10", "-1h", "9" * 5000 + "d"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(InvalidValue):
        logs.moment(text, 0.0)


def test_archives_are_shifted_and_the_oldest_goes(home):
    for number in range(4):
        write(home, f"round {number}\n")
        logs.rotate(home, "a", 2)
    assert texts(home)[0] == []
    assert texts(home, whole=True)[0] == ["round 2", "round 3"]
    assert [p.name for p in logs.archives(logs.path_of(home, "a"))] == ["a.log.2.gz", "a.log.1.gz"]
    assert logs.listing(home)[0].size_bytes == 0


def test_what_cannot_be_packed_costs_no_archive_and_no_line(home):
    write(home, "one\n")
    logs.rotate(home, "a", 2)
    in_the_way = home / "logs/a.log.1.gz.tmp"
    in_the_way.mkdir()
    write(home, "two\n")
    for _ in range(3):
        with pytest.raises(IsADirectoryError):
            logs.rotate(home, "a", 2)
        write(home, "three\n")
    in_the_way.rmdir()
    logs.rotate(home, "a", 2)
    assert texts(home, whole=True)[0] == ["one", "two", *["three"] * 3]


def test_an_empty_log_is_not_archived(home):
    write(home, "")
    assert logs.rotate(home, "a", 2) is None


def test_no_line_is_lost_while_the_writer_goes_on(home):
    path, end = logs.path_of(home, "a"), home / "end"
    argv = [sys.executable, "-c", WRITER, str(path), str(end)]
    with subprocess.Popen(argv, start_new_session=True, stdout=subprocess.PIPE) as writer:
        known = Record("a").of(process.identity(writer.pid))
        while len(logs.archives(path)) < 8:
            logs.rotate(home, "a", 1000, known)
            time.sleep(0.01)
        end.touch()
        count = int(writer.stdout.read())
    assert texts(home, whole=True)[0] == [f"line {i}" for i in range(count)]


def test_a_stranger_with_the_same_pid_is_not_halted(home):
    write(home, "x\n")
    who = replace(process.identity(), started="1")
    logs.rotate(home, "a", 1, Record("a").of(who))  # our own pid: halting it would hang the test
    assert texts(home)[0] == []


def test_who_archives_waits_for_who_does_already(home):
    path = logs.path_of(home, "a")
    write(home, "one\ntwo\n")
    with ThreadPoolExecutor(1) as pool:
        with files.locked(logs.lock_of(path)):
            logs.copy_of(path).write_text("one\n")
            second = pool.submit(logs.rotate, home, "a", 5)
            time.sleep(0.1)
            logs.copy_of(path).unlink()
        second.result()
    assert texts(home, whole=True)[0] == ["one", "two"]


@pytest.mark.parametrize("pause", [0.02, 0.25], ids=str)
def test_a_follower_sees_every_line_once_whenever_the_log_is_archived(home, pause):
    """Between two looks it may have been archived often, and have grown beyond where it was."""
    path, end = logs.path_of(home, "a"), home / "end"
    write(home, "before\n")
    lines = follow.follow(home, "a", follow.end(path))
    argv = [sys.executable, "-c", WRITER, str(path), str(end)]
    with subprocess.Popen(argv, start_new_session=True, stdout=subprocess.PIPE) as writer:
        known = Record("a").of(process.identity(writer.pid))
        with ThreadPoolExecutor(1) as pool:
            seen = pool.submit(taken, lines, "the end")
            for _ in range(6):
                time.sleep(pause)
                logs.rotate(home, "a", 1000, known)
            end.touch()
            count = int(writer.stdout.read())
            write(home, "the end\n")
    assert seen.result() == [f"line {i}" for i in range(count)]


def taken(lines, last):
    return [line.text for line in takewhile(lambda line: line.text != last, lines)]


def test_a_log_that_grew_beyond_where_it_was_read_is_noticed(home):
    """Archives that are not kept take their lines along."""
    write(home, "before\n")
    lines = follow.follow(home, "a", follow.end(logs.path_of(home, "a")))
    logs.rotate(home, "a", 0)
    write(home, "a line that is longer\n")
    assert next(lines).text == "a line that is longer"


def test_what_a_killed_archiver_left_is_followed_to_its_end(home):
    path = logs.path_of(home, "a")
    write(home, "before\n")
    lines = follow.follow(home, "a", follow.end(path))
    write(home, "one\n")
    logs.copy_of(path).write_bytes(path.read_bytes())
    path.write_bytes(b"")
    write(home, "two\n")
    assert [next(lines).text, next(lines).text] == ["one", "two"]
    logs.rotate(home, "a", 5)
    write(home, "three\n")
    logs.rotate(home, "a", 5)
    write(home, "four\n")
    assert [next(lines).text, next(lines).text] == ["three", "four"]


def test_a_line_is_followed_when_it_is_whole(home):
    write(home, "one\ntw")
    place = follow.end(logs.path_of(home, "a"))
    shown, _ = logs.lines(home, "a", tail=9, end=place.offset)
    write(home, "o\nthree\n")
    lines = follow.follow(home, "a", place)
    assert [line.text for line in (*shown, next(lines), next(lines))] == ["one", "two", "three"]


def test_the_event_log_is_followed_across_its_archiving(home):
    events.tell(home, "ready", "d0")
    lines = follow.follow(home, logs.EVENTS, follow.end(logs.path_of(home, logs.EVENTS)))
    events.tell(home, "ready", "d1")
    logs.rotate(home, logs.EVENTS, 5)
    assert orjson.loads(next(lines).text)["name"] == "d1"
    assert logs.lines(home, logs.EVENTS, tail=9) == ((), False)
    for number in (2, 3):
        events.tell(home, "ready", f"d{number}")
    assert [orjson.loads(next(lines).text)["name"] for _ in "ab"] == ["d2", "d3"]


def test_archives_are_gzip(home):
    write(home, "x\n")
    with gzip.open(logs.rotate(home, "a", 1), "rt") as packed:
        assert packed.read() == "x\n"


def test_the_event_log_is_archived_by_its_name(home):
    for number in range(3):
        events.tell(home, "ready", f"d{number}")
        logs.rotate(home, logs.EVENTS, 5)
    events.tell(home, "ready", "last")
    found, _ = logs.lines(home, logs.EVENTS, tail=0, whole=True)
    assert [orjson.loads(line.text)["name"] for line in found] == ["d0", "d1", "d2", "last"]
    assert all(line.ts and line.stream == "events" for line in found)
