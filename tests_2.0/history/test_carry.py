"""Ignored files that a worktree is to have, too."""

import os

import pytest
from git_repository import WHEN, GitRepository
from sessions import started

from mlxk.contract.errors import InvalidValue
from mlxk.contract.notes import collecting
from mlxk.history import trash
from mlxk.history.record import find
from mlxk.history.session import Session
from mlxk.history.store import Store


@pytest.fixture
def repo(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    repo.write(".gitignore", ".env\n/modules/\n*.log\n")
    repo.write("a", "one\n")
    repo.commit("first")
    repo.write(".env", "KEY=1\n", mode=0o600)
    repo.write("modules/deep/x", "x\n", mode=0o755)
    (repo.root / "modules/link").symlink_to("/etc/passwd")
    os.mkfifo(repo.root / "modules/pipe")
    return repo


def test_what_is_carried_is_a_copy_and_is_never_committed(repo, home):
    before = repo.footprint()
    with started(repo, home) as session:
        session.carry([".env", "modules", "not/there"])
        root = session.worktree
        assert (root / ".env").read_text() == "KEY=1\n"
        assert (root / ".env").stat().st_mode & 0o777 == 0o600
        assert (root / ".env").stat().st_ino != (repo.root / ".env").stat().st_ino
        assert os.access(root / "modules/deep/x", os.X_OK)
        assert (root / "modules/link").readlink().as_posix() == "/etc/passwd"
        assert not (root / "modules/pipe").exists()
        assert session.append(b"", when=WHEN, paths=None).files == ()
        (root / ".env").write_text("KEY=2\n")
        session.carry([".env"])
        assert (root / ".env").read_text() == "KEY=2\n"
    assert repo.footprint() == before


def test_what_is_not_ignored_is_not_carried_and_said(repo, home):
    repo.write("src/new", "x\n")
    with started(repo, home, clean=True) as session, collecting() as notes:
        session.carry(["a", "src", "src/new"])
        assert not (session.worktree / "src").exists()
    assert [n.code for n in notes] == ["not_carried"] * 3


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", ".git", "b/.GIT/x", "", "."])
def test_a_path_that_leads_out_is_refused(repo, home, name):
    with started(repo, home) as session, pytest.raises(InvalidValue):
        session.carry([name])


def test_a_folder_that_is_a_link_is_not_followed(repo, home, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x.log").write_text("x")
    (repo.root / "way").symlink_to(tmp_path / "outside")
    with started(repo, home) as session, collecting():
        session.carry(["way/x.log"])
        assert not (session.worktree / "way/x.log").is_symlink()
        assert (session.worktree / "way").is_symlink()


def test_the_next_session_does_not_inherit_it(repo, home):
    with started(repo, home) as session:
        session.carry([".env", "modules"])
        session.append(b"", when=WHEN, paths=None)
    with Store.open(repo.root, home / ".mlxk") as store:
        trash.discard(store, find(store, session.id).record, WHEN)
        with Session.create(store, b"{}", name="next", when=WHEN) as after:
            names = sorted(p.name for p in after.worktree.iterdir())
            assert names == [".git", ".gitignore", "a"]
