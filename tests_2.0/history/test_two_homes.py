"""Several `MLXK_HOME`s on one repository: nobody writes what another one does, nothing is lost."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from git_repository import WHEN, GitRepository

from mlxk.contract.errors import SessionBusy
from mlxk.history.land import Order, land
from mlxk.history.liveness import is_held
from mlxk.history.record import find
from mlxk.history.session import Session
from mlxk.history.store import Store


@pytest.fixture
def repo(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    repo.write("a", "one\n")
    repo.commit("first")
    return repo


@pytest.fixture
def stores(repo, tmp_path):
    with Store.open(repo.root, tmp_path / "1") as one, Store.open(repo.root, tmp_path / "2") as two:
        yield one, two


def step(session, name, text):
    (session.worktree / name).write_text(text)
    return session.append(b"x\n", when=WHEN, paths=None)


def test_a_session_that_is_written_elsewhere_is_busy(stores):
    one, two = stores
    with Session.create(one, b"{}", name="try", when=WHEN) as session:
        assert is_held(two, session.id)
        with pytest.raises(SessionBusy):
            Session.open(two, "try", when=WHEN)
        step(session, "n", "still here\n")
    assert not is_held(two, session.id)


def test_a_session_goes_on_elsewhere_and_back_with_its_files(stores, repo):
    one, two = stores
    with Session.create(one, b"{}", name="try", when=WHEN) as session:
        step(session, "n", "1\n")
        (session.worktree / "unfinished").write_text("by a run that was killed\n")
        before = session.worktree
    with Session.open(two, "try", when=WHEN) as session:
        assert [f.path for f in session.recovered.files] == ["unfinished"]
        step(session, "n", "2\n")
        assert not before.exists()
    with Session.open(one, "try", when=WHEN) as session:
        assert (session.recovered, session.worktree) == (None, before)
        assert (session.worktree / "n").read_text() == "2\n"
        assert (session.worktree / "unfinished").exists()
    assert repo.git("worktree", "list").count("\n") == 1
    assert repo.git("status", "--porcelain", at=before) == ""
    assert repo.fsck() == ""


def test_a_home_that_was_moved_keeps_what_is_in_it(repo, tmp_path):
    with (
        Store.open(repo.root, tmp_path / "old") as store,
        Session.create(store, b"{}", name="try", when=WHEN) as session,
    ):
        (session.worktree / "unfinished").write_text("x\n")
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "link").symlink_to("new")
    for name in ("new", "link", "new"):
        with (
            Store.open(repo.root, tmp_path / name) as store,
            Session.open(store, "try", when=WHEN) as session,
        ):
            assert (session.worktree / "unfinished").exists()
    assert repo.git("show", "mlxk/try:unfinished") == "x"


def test_four_agents_of_two_homes_land_at_once_and_none_is_lost(repo, tmp_path):
    names, together = ["one", "two", "three", "four"], Barrier(4, timeout=60)

    def do(name):
        home = tmp_path / ("1" if name < "p" else "2")
        with (
            Store.open(repo.root, home) as store,
            Session.create(store, b"{}", name=name, when=WHEN) as session,
        ):
            for number in range(5):
                step(session, name, f"{number}\n")
                together.wait()
                place = find(store, session.id)
                land(store, Order(place, "main", "Me <me@localhost>", WHEN))

    with ThreadPoolExecutor() as pool:
        list(pool.map(do, names))
    assert repo.git("rev-list", "--count", "main") == "21"
    assert {repo.git("show", f"main:{name}") for name in names} == {"4"}
    assert repo.git("status", "--porcelain=v2") == ""
    assert list((repo.root / ".git").glob("*mlxk-landing*")) == []
    assert repo.fsck() == ""
