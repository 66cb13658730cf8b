"""A worktree that was put away serves another session, and nothing of its past shows."""

import os
import shutil
import subprocess
import sys

import pytest
from git_repository import WHEN, GitRepository

from mlxk.history import pool, trash
from mlxk.history.folders import Folder
from mlxk.history.session import Session
from mlxk.history.store import Store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="who is in a folder: /proc")


@pytest.fixture
def repo(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    repo.write("a", "one\n")
    repo.write("b/c", "two\n")
    repo.write("b/d/e", "three\n")
    repo.write("run.sh", "x\n", mode=0o755)
    repo.write(".gitignore", "*.log\nbuild/\n")
    (repo.root / "link").symlink_to("a")
    repo.commit("first")
    return repo


def slots(store):
    return sorted((store.home / "pool" / store.key).glob("*"))


def retired(store, change=lambda root: None, commit=lambda root: None):
    """The inode of the folder of a session that was removed, `change`d meanwhile."""
    with Session.create(store, b"{}", name="old", when=WHEN) as session:
        commit(session.worktree)
        session.append(b"", when=WHEN, paths=None)
    trash.discard(store, session.record, WHEN)
    (slot,) = slots(store)
    inode = (slot / "files").stat().st_ino
    change(slot / "files")
    return inode


def assert_as_new(repo, store, home, inode):
    """The next session has that folder, and it is what git would check out."""
    with Session.create(store, b"{}", name="new", when=WHEN) as session:
        assert (session.worktree.stat().st_ino == inode) == (inode is not None)
        theirs = repo.root.parent / "theirs"
        repo.git("worktree", "add", "-q", "--detach", str(theirs), session.record.base)
        assert listed(session.worktree) == listed(theirs)
        assert repo.git("status", "--porcelain=v2", "--ignored", at=session.worktree) == ""
        assert session.append(b"", when=WHEN, paths=None).files == ()
        (session.worktree / "b/new").write_text("x\n")
        assert len(session.append(b"", when=WHEN, paths=None).files) == 1
    assert slots(store) == []
    assert repo.fsck() == ""


def listed(root):
    found = {}
    for path in root.rglob("*"):
        if path.name != ".git":
            data = os.readlink(path) if path.is_symlink() else None  # noqa: PTH115
            if data is None and path.is_file():
                data = path.read_bytes()
            found[path.relative_to(root)] = (oct(path.lstat().st_mode), data)
    return found


def ignored_files(root):
    (root / "build/deep").mkdir(parents=True)
    (root / "build/deep/out").write_text("x")
    (root / "b/x.log").write_text("x")


def foreign_files(root):
    (root / "new/deep").mkdir(parents=True)
    (root / "new/deep/x").write_text("x")
    (root / "b/pipe").symlink_to("/etc")
    os.mkfifo(root / "fifo")


def a_repository_inside(root):
    subprocess.run(["git", "init", "-q", str(root / "inner")], check=True)
    subprocess.run(["git", "init", "-q", str(root)], check=True)


def changed_files(root):
    (root / "a").write_text("ONE\n")
    (root / "run.sh").chmod(0o600)
    (root / "b/d/e").unlink()
    (root / "link").unlink()


def changed_kinds(root):
    (root / "a").unlink()
    (root / "a").mkdir()
    shutil.rmtree(root / "b")
    (root / "b").symlink_to("/etc")


def read_only_folders(root):
    (root / "b/d").chmod(0o500)
    (root / "b").chmod(0o500)


def a_hard_link(root):
    os.link(root / "a", root.parent.parent.parent.parent / "outside")


CHANGES = [ignored_files, foreign_files, a_repository_inside, changed_files, changed_kinds,
           a_hard_link]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_nothing_of_the_past_shows(repo, store, home, change):
    inode = retired(store, change)
    assert_as_new(repo, store, home, inode)


def test_folders_that_were_closed_are_open_again(repo, store, home):
    inode = retired(store, read_only_folders)
    with Session.create(store, b"{}", name="new", when=WHEN) as session:
        assert session.worktree.stat().st_ino == inode
        (session.worktree / "b/d/new").write_text("x")
        assert len(session.append(b"", when=WHEN, paths=None).files) == 1


def test_another_commit_is_written_over_it(repo, store, home):
    inode = retired(store, commit=foreign_files)
    repo.write("a", "other\n")
    repo.write("z/new", "new\n")
    shutil.rmtree(repo.root / "b/d")
    repo.commit("second")
    repo.write("a", "and uncommitted\n")
    assert_as_new(repo, store, home, inode)


def test_nobody_elses_folder_is_taken(repo, store, home):
    inode = retired(store)
    (slot,) = slots(store)
    with subprocess.Popen(["sleep", "60"], cwd=slot / "files/b") as inside:
        with Session.create(store, b"{}", name="new", when=WHEN) as session:
            assert session.worktree.stat().st_ino != inode
        inside.kill()
    assert slots(store) == []


def test_nobody_elses_folder_is_taken_where_the_home_is_a_link(repo, home, tmp_path):
    (tmp_path / "disk").mkdir()
    (home / ".mlxk").symlink_to(tmp_path / "disk")
    with Store.open(repo.root, home / ".mlxk") as store:
        test_nobody_elses_folder_is_taken(repo, store, home)


def test_what_is_only_half_put_away_is_offered_to_nobody(repo, store, home):
    with pytest.raises(FileNotFoundError):
        pool.retire(store, repo.root / "gone", b"\1" * 20, Folder())
    assert pool._slots(store) == []


def test_a_file_that_somebody_holds_open_is_not_shared(repo, store, home):
    inode = retired(store)
    (slot,) = slots(store)
    with (slot / "files/a").open("a") as file:
        with Session.create(store, b"{}", name="new", when=WHEN) as session:
            assert session.worktree.stat().st_ino != inode
        file.write("late\n")
    assert (session.worktree / "a").read_text() == "one\n"


@pytest.mark.parametrize("damage", ["known", "files", "objects"])
def test_what_is_damaged_is_left_and_a_new_one_made(repo, store, home, damage):
    retired(store)
    (slot,) = slots(store)
    if damage == "known":
        (slot / "known").write_bytes(b"x")
    elif damage == "files":
        shutil.rmtree(slot / "files")
    else:
        data = (slot / "known").read_bytes()
        tree = bytes.fromhex(repo.git("rev-parse", "HEAD^{tree}"))
        (slot / "known").write_bytes(data.replace(tree, b"\1" * 20))
    with Session.create(store, b"{}", name="new", when=WHEN) as session:
        assert (session.worktree / "b/d/e").read_text() == "three\n"


def test_what_a_killed_taker_left_is_cleared_away(repo, store, home):
    retired(store)
    (slot,) = slots(store)
    slot.rename(slot.with_name(f".999999.{slot.name}"))
    trash.prune(store, WHEN)
    assert slots(store) == []


def test_the_pool_stays_small(repo, store, home):
    for number in range(4):
        with Session.create(store, b"{}", name=f"n{number}", when=WHEN):
            pass
    for number in range(4):
        trash.discard(store, _record(store, f"n{number}"), WHEN)
    assert len(slots(store)) == pool._MOST


def test_a_sparse_checkout_gets_a_worktree_of_its_own(repo, store, home):
    inode = retired(store)
    repo.git("sparse-checkout", "set", "--no-cone", "--no-sparse-index", "/b/")
    with Session.create(store, b"{}", name="new", when=WHEN) as session:
        assert session.worktree.stat().st_ino != inode
        assert not (session.worktree / "a").exists()


def _record(store, name):
    from mlxk.history.record import find

    return find(store, name).record
