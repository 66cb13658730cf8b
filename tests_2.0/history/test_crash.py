"""Killed at any moment, beside a busy user: no acknowledged step is lost and nothing is blocked."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import history_writer
import pytest
from git_repository import WHEN, GitRepository
from sessions import started

from mlxk.history.disk import Batch
from mlxk.history.record import find, records
from mlxk.history.session import Session
from mlxk.history.store import Store

WRITER = history_writer.__file__
SOURCE = Path(history_writer.__file__).parents[2]


@pytest.fixture
def repo(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    for n in range(20):
        repo.write(f"src/{n % 4}/{n}", f"{n}\n" * 10)
    repo.commit("first")
    repo.write("src/0/0", "changed\n")
    return repo


@pytest.fixture
def start(repo, home):
    """Begin to write a session in a process of its own."""
    writers = []

    def begin(name, steps):
        argv = [sys.executable, WRITER, str(repo.root), str(home / ".mlxk"), name, str(steps)]
        env = os.environ | {"PYTHONPATH": str(SOURCE)}
        writers.append(subprocess.Popen(argv, stdout=subprocess.PIPE, env=env, text=True))
        return writers[-1]

    yield begin
    for writer in writers:
        writer.kill()
        writer.wait()
        writer.stdout.close()


def killed_after(writer, seconds):
    """The steps that it had acknowledged."""
    time.sleep(seconds)
    writer.send_signal(signal.SIGKILL)
    acknowledged, _ = writer.communicate()
    return [line.split() for line in acknowledged.splitlines() if line.count(" ") == 2]


def assert_all_there(repo, home, name, acknowledged):
    with Store.open(repo.root, home / ".mlxk") as store:
        steps = {str(s.number): s for s in find(store, name).record.steps()}
        for number, code, session_commit in acknowledged:
            assert (steps[number].id, steps[number].session_commit) == (code, session_commit)
        lines = find(store, name).lines().split(b"\n")
        assert all(b"%s %s" % (name.encode(), n.encode()) in lines for n, _, _ in acknowledged)


def kill_many_times(repo, home, start, times):
    before = repo.footprint()
    chance = random.Random(times)
    acknowledged = []
    for _ in range(times):
        writer = start("victim", 100_000)
        first = writer.stdout.readline().split() if chance.random() < 0.8 else []
        acknowledged += [first] if first else []
        acknowledged += killed_after(writer, chance.random() * 0.3)
    if acknowledged:
        assert_all_there(repo, home, "victim", acknowledged)
    began = time.monotonic()
    writer = start("victim", 2)
    assert len(writer.communicate()[0].splitlines()) == 2
    assert time.monotonic() - began < 5
    assert repo.footprint() == before
    assert repo.fsck() == ""
    return acknowledged


def test_killed_at_random_moments_nothing_acknowledged_is_lost(repo, home, start):
    assert len(kill_many_times(repo, home, start, 25)) > 50


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_two_hundred_times_nothing_acknowledged_is_lost(repo, home, start):
    assert len(kill_many_times(repo, home, start, 200)) > 400


def tidy_up(repo, *command):
    """That a ref moved meanwhile, or moves now, is all that git may complain of."""
    done = subprocess.run(["git", *command], cwd=repo.root, capture_output=True, check=False)
    lines = done.stderr.decode().splitlines()
    complaints = [line for line in lines if line.startswith(("error", "fatal", "warning"))]
    left = [c for c in complaints if "cannot lock ref" not in c and "failed to run" not in c]
    assert not left, f"git {command}: exit {done.returncode}\n{done.stderr.decode()}"


def beside_the_user(repo, home, start, steps):
    """Four writers, while the user commits, packs refs and collects garbage."""
    names = [f"agent-{n}" for n in range(4)]
    writers = [start(name, steps) for name in names]
    turn = 0
    while any(w.poll() is None for w in writers):
        turn += 1
        repo.write("mine", f"{turn}\n")
        repo.git("add", "mine")
        repo.git("commit", "-q", "-m", f"mine {turn}")
        tidy_up(repo, "pack-refs", "--all", "--prune")
        tidy_up(repo, "gc", "-q", "--prune=now")
    for name, writer in zip(names, writers, strict=True):
        acknowledged = [line.split() for line in writer.communicate()[0].splitlines()]
        assert (writer.returncode, len(acknowledged)) == (0, steps)
        assert_all_there(repo, home, name, acknowledged)
    assert repo.fsck() == ""
    assert repo.git("log", "--format=%s", "-1") == f"mine {turn}"


def test_four_writers_beside_commits_and_garbage_collection(repo, home, start):
    repo.git("add", "-A")
    beside_the_user(repo, home, start, 40)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_four_writers_of_two_hundred_steps_beside_the_user(repo, home, start):
    repo.git("add", "-A")
    beside_the_user(repo, home, start, 200)


def test_eight_sessions_start_at_once_in_a_dirty_repository(repo, home, start):
    before = repo.footprint()
    writers = [start(f"agent-{n}", 5) for n in range(8)]
    assert [len(w.communicate()[0].splitlines()) for w in writers] == [5] * 8
    with Store.open(repo.root, home / ".mlxk") as store:
        assert sum(r.step for r in records(store)) == 40
    assert repo.footprint() == before
    assert repo.fsck() == ""


def test_locks_of_the_dead_do_not_block(repo, home):
    with started(repo, home) as session:
        session.append(b"a\n", when=WHEN)
        for ref in (f"refs/mlxk/sessions/{session.id}", "refs/heads/mlxk/try"):
            lock = repo.write(f".git/{ref}.lock")
            os.utime(lock, (0, 0))
        (session.worktree / "new").write_text("x")
        session.append(b"b\n", when=WHEN, paths=["new"])
    assert repo.fsck() == ""


def test_a_prune_between_writing_and_moving_the_ref_takes_nothing(repo, home):
    with Store.open(repo.root, home / ".mlxk") as store:
        raw = store.writer.add(b"blob", b"not reachable yet")
        store.writer.flush()
        repo.git("gc", "-q", "--prune=now")
        assert repo.git("cat-file", "blob", raw.hex()) == "not reachable yet"
        store.writer.release()
        store.writer.join()
        repo.git("gc", "-q", "--prune=now")
        assert repo.git("cat-file", "-t", raw.hex(), check=False) == ""


def test_the_marks_of_the_dead_are_swept_away(repo, home, start):
    writer = start("victim", 100_000)
    writer.stdout.readline()
    writer.send_signal(signal.SIGSTOP)
    packs = repo.root / ".git/objects/pack"
    left = [repo.write(f".git/objects/pack/pack-{n:040}.keep", f"mlxk {n} 1 2\n") for n in "12"]
    users = repo.write(f".git/objects/pack/pack-{3:040}.keep", "mine\n")
    writer.kill()
    writer.wait()
    assert start("victim", 1).wait() == 0
    assert list(packs.glob("*.keep")) == [users]
    assert not any(keep.exists() for keep in left)


def test_a_start_that_fails_half_way_leaves_nothing(repo, home):
    before = repo.footprint()
    store = Store.open(repo.root, home / ".mlxk")
    (home / ".mlxk").mkdir()
    (home / ".mlxk/worktrees").write_text("in the way")
    with store, pytest.raises(NotADirectoryError):
        Session.create(store, b"{}", name="try", when=WHEN)
    assert repo.git("for-each-ref", "refs/mlxk", "refs/heads/mlxk") == ""
    assert repo.git("worktree", "list").count("\n") == 0
    assert repo.footprint() == before


def test_files_that_cannot_be_synced_are_closed_all_the_same(tmp_path):
    batch = Batch(tmp_path)
    pipes = [os.pipe() for _ in range(2)]  # fsync fails on a pipe, as on a broken disk
    for _, write_end in pipes:
        with suppress(OSError):
            batch.take(write_end)
    with suppress(OSError):
        batch.wait(durable=True)
    for read_end, _ in pipes:
        os.set_blocking(read_end, False)
        assert os.read(read_end, 1) == b""  # the end: nobody can write any more
        os.close(read_end)


def test_history_grows_with_the_conversation_and_no_faster(repo, home):
    line = b"%s\n" % (b"word " * 800)
    with started(repo, home) as session:
        for number in range(200):
            (session.worktree / "out").write_text(f"{number}\n")
            text = b"%d %s" % (number, line)
            session.append(text, when=WHEN, paths=["out"], body="done")
    assert repo.fsck() == ""
    assert len(list((repo.root / ".git/objects/pack").glob("*.pack"))) < 4
    assert len(repo.git("log", "--format=%B", "mlxk/try")) < 40_000
    repo.git("gc", "-q")
    objects = (repo.root / ".git/objects").rglob("*")
    assert sum(p.stat().st_size for p in objects if p.is_file()) < 0.6 * 200 * len(line)
