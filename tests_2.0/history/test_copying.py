import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import processes
import pytest
import waiting
from git_repository import WHEN, GitRepository

from mlxk.contract.errors import Interrupted
from mlxk.history import copying
from mlxk.history.cloning import signature
from mlxk.history.session import Session
from mlxk.history.store import Store


@pytest.fixture
def repo(tmp_path, home, monkeypatch):
    """A checkout that is large enough for three processes."""
    monkeypatch.setattr(copying, "_WORTH_A_PROCESS", 8)
    monkeypatch.setattr(copying.os, "cpu_count", lambda: 3)
    repo = GitRepository(tmp_path / "repo")
    for number in range(24):
        repo.write(f"src/{number % 5}/{number}.txt", f"{number}\n" * number)
    (repo.root / "src/1/run").write_text("#!/bin/sh\n")
    (repo.root / "src/1/run").chmod(0o755)
    repo.commit("first")
    return repo


def contents(root):
    files = [
        path for path in sorted(root.rglob("*")) if path.is_file() and ".git" not in path.parts
    ]
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mode & 0o111)
        for path in files
    }


def test_several_processes_copy_what_one_would(store, repo):
    repo.write("src/2/new.txt", "not committed\n")
    repo.write("src/3/3.txt", "changed\n")
    (repo.root / "src/4/4.txt").unlink()
    with Session.create(store, b"{}", name="try", when=WHEN) as session:
        assert contents(session.worktree) == contents(repo.root)
        assert repo.git("-C", str(session.worktree), "status", "--porcelain") == ""


def test_what_the_checkout_changed_comes_from_the_repository(store, repo):
    before = contents(repo.root)
    repo.write("src/3/3.txt", "changed\n")
    with Session.create(store, b"{}", name="try", when=WHEN, clean=True) as session:
        assert contents(session.worktree) == before


def test_without_its_helpers_it_does_all_itself(store, repo, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Session.create(store, b"{}", name="try", when=WHEN) as session:
        assert contents(session.worktree) == contents(repo.root)


def test_what_a_killed_helper_left_half_done_is_done_again(tmp_path):
    for number in range(3):
        (tmp_path / f"source{number}").write_text(f"{number}\n")
    (tmp_path / "target").mkdir()
    (tmp_path / "target/source1").write_text("half")
    known = [
        (path.name.encode(), signature(path.stat()), False) for path in sorted(tmp_path.glob("s*"))
    ]
    share = [(b"", known)]
    top = bytes(tmp_path) + b"/"
    assert all(copying._again(top, top + b"target/", share)[0])
    assert (tmp_path / "target/source1").read_text() == "1\n"


def test_an_error_of_a_helper_is_told(store, tmp_path):
    with (
        copying._helping(bytes(tmp_path) + b"/", b"/nowhere/", [(b"", [])]) as helper,
        pytest.raises(FileNotFoundError),
    ):
        copying._outcome(store, helper)


class Soon(Event):
    """Set when it is asked for the n-th time."""

    def __init__(self, times):
        super().__init__()
        self.left = times

    def is_set(self):
        self.left -= 1
        return self.left < 0


def test_what_is_not_wanted_any_more_stops_and_leaves_nothing(store, repo, home):
    repo.write("src/new", "not committed\n")
    before, after, session = repo.footprint(), 0, None
    others = set(processes.descendants(os.getpid()))
    while session is None:
        store.given_up = Soon(after)
        after += 6
        with suppress(Interrupted):
            session = Session.create(store, b"{}", name="try", when=WHEN)
            break
        assert repo.git("for-each-ref", "refs/mlxk", "refs/heads/mlxk") == ""
        assert not [*home.glob(".mlxk/worktrees/*/*"), *(repo.root / ".git").glob("worktrees/*")]
        assert not set(processes.descendants(os.getpid())) - others
        assert repo.footprint() == before
    with session:
        assert contents(session.worktree) == contents(repo.root)
    assert after > 40


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_large_one_that_is_not_wanted_any_more_stops_at_once(tmp_path, home):
    repo = GitRepository(tmp_path / "large")
    for number in range(20_000):
        repo.write(f"{number % 200}/{number % 7}/{number}", f"{number}\n" * 20)
    repo.commit("first")
    with Store.open(repo.root, home / ".mlxk") as store:
        begun = time.monotonic()
        Session.create(store, b"{}", name="whole", when=WHEN).close()
        whole = time.monotonic() - begun

        def give_up():
            waiting.until(lambda: any(home.glob(".mlxk/worktrees/*/*.building")))
            store.given_up.set()
            return time.monotonic()

        with ThreadPoolExecutor() as beside:
            told = beside.submit(give_up)
            with pytest.raises(Interrupted):
                Session.create(store, b"{}", name="half", when=WHEN)
            assert time.monotonic() - told.result() < max(0.3, whole / 5)
    assert len([*home.glob(".mlxk/worktrees/*/*")]) == 1
