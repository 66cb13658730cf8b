import sys

import pytest
from git_repository import WHEN, GitRepository

from mlxk.history import copying
from mlxk.history.cloning import signature
from mlxk.history.session import Session


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


def test_an_error_of_a_helper_is_told(tmp_path):
    with (
        copying._helping(bytes(tmp_path) + b"/", b"/nowhere/", [(b"", [])]) as helper,
        pytest.raises(FileNotFoundError),
    ):
        copying._outcome(helper)
