"""A folder without git has a history, too; nothing of it is in the folder."""

import subprocess

import pytest
from git_repository import WHEN, GitRepository

from mlxk.contract.errors import DirtyMerge, InvalidValue, MergeConflict, NotARepository
from mlxk.history import own, trash
from mlxk.history.land import Order, land
from mlxk.history.record import find
from mlxk.history.session import Session
from mlxk.history.store import Store

YOU = "you <you@localhost>"


@pytest.fixture
def folder(tmp_path, home):
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "a").write_text("one\n")
    (folder / "deep/b").write_text("two\n")
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "x.log").write_text("ignored\n")
    return folder


@pytest.fixture
def store(folder, home):
    with Store.without_git(folder, home / ".mlxk") as store:
        yield store


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def worked(store, name="try"):
    with Session.create(store, b"{}", name=name, when=WHEN) as session:
        (session.worktree / "a").write_text("changed\n")
        (session.worktree / "new").write_text("new\n")
        session.append(b"x\n", when=WHEN, paths=None)
    return session


def order(store, name="try"):
    return Order(find(store, name), "main", YOU, WHEN)


def fsck(store):
    argv = ["git", "--git-dir", str(store.common), "fsck", "--strict", "--no-dangling"]
    return subprocess.run(argv, capture_output=True, check=False, text=True).stdout


def test_a_session_starts_from_the_files_and_leaves_them(folder, store):
    before = contents(folder)
    session = worked(store)
    assert sorted(p.name for p in session.worktree.iterdir()) == [
        ".git", ".gitignore", "a", "deep", "new",
    ]  # fmt: skip
    assert contents(folder) == before
    assert not (folder / ".git").exists()
    assert fsck(store) == ""


def test_it_is_found_again_from_anywhere_below(folder, store, home):
    worked(store)
    with Store.open(folder / "deep", home / ".mlxk") as again:
        assert again.common == store.common
        with Session.open(again, "try", when=WHEN) as session:
            assert session.recovered is None
    with pytest.raises(NotARepository):
        Store.open(folder.parent, home / ".mlxk")


def test_a_landing_brings_the_files_and_one_git_command_takes_it_back(folder, store):
    worked(store)
    (folder / "deep/b").write_text("mine meanwhile\n")
    before = contents(folder)
    done = land(store, order(store))
    assert contents(folder) == before | {"a": b"changed\n", "new": b"new\n"}
    argv = ["git", f"--git-dir={store.control}", f"--work-tree={folder}"]
    status = [*argv, "status", "--porcelain", "--untracked-files=no"]
    assert subprocess.run(status, check=True, capture_output=True).stdout == b""
    subprocess.run([*argv, "reset", "-q", "--keep", done.before], check=True)
    assert contents(folder) == before
    assert fsck(store) == ""


def test_the_next_session_starts_from_what_is_there_now(folder, store):
    worked(store)
    land(store, order(store))
    (folder / "later").write_text("x\n")
    (folder / "a").unlink()
    with Session.create(store, b"{}", name="next", when=WHEN) as session:
        assert (session.worktree / "later").read_text() == "x\n"
        assert not (session.worktree / "a").exists()
    assert trash.is_landed(store, session.record, store.head())


def test_what_both_changed_is_a_conflict_and_nothing_changes(folder, store):
    worked(store)
    (folder / "a").write_text("mine\n")
    before = contents(folder)
    with pytest.raises(MergeConflict):
        land(store, order(store))
    assert contents(folder) == before


def test_an_ignored_file_in_the_way_stays(folder, store):
    with Session.create(store, b"{}", name="try", when=WHEN) as session:
        (session.worktree / ".gitignore").unlink()
        (session.worktree / "x.log").write_text("new\n")
        session.append(b"x\n", when=WHEN, paths=None)
    with pytest.raises(DirtyMerge):
        land(store, order(store))
    assert (folder / "x.log").read_text() == "ignored\n"


def test_a_repository_in_a_format_of_tomorrow_is_worked_in_as_a_folder(tmp_path, home):
    repo = GitRepository(tmp_path / "repo", "--object-format=sha256")
    repo.write("src/a", "one\n")
    repo.commit("first")
    (repo.root / "src/a").write_text("uncommitted\n")
    before = {p: p.read_bytes() for p in repo.root.rglob("*") if p.is_file()}
    with Store.without_git(repo.root / "src", home / ".mlxk") as store:
        assert store.root == repo.root
        session = worked(store)
        assert (session.worktree / "src/a").read_text() == "uncommitted\n"
        assert {p: p.read_bytes() for p in repo.root.rglob("*") if p.is_file()} == before
        land(store, order(store))
    assert repo.git("status", "--porcelain") == " M src/a\n?? a\n?? new"


def test_in_a_repository_that_we_can_write_there_is_no_need(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    with pytest.raises(InvalidValue):
        Store.without_git(repo.root, home / ".mlxk")
    assert not (home / ".mlxk").exists()


def test_a_whole_home_is_refused(home):
    for folder in (home, home.parent):
        with pytest.raises(InvalidValue):
            own.make(folder, home / ".mlxk")
