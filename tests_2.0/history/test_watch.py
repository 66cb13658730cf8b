"""Following the kernel's word finds what a full scan finds, whatever happens to the files."""

import os
import shutil
import sys
import threading
from pathlib import Path

import pytest
from git_repository import WHEN, GitRepository
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sessions import started

from mlxk.history import watch
from mlxk.history.checkout import Checkout
from mlxk.history.folders import Folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
NAMES = ["a", "b", "c", "x.tmp", ".gitignore", "out", "out/a", "a/b", "a/b/c", "b/a", "c/x.tmp"]


@pytest.fixture
def repo(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    repo.write("a", "one\n")
    repo.write("b/a", "one\n")
    repo.commit("first")
    return repo


def clear(path, root):
    """Make room at `path`, whatever is there or stands in for one of its folders."""
    for parent in reversed(path.relative_to(root).parents):
        at = root / parent
        if at != root and (at.is_symlink() or at.is_file()):
            at.unlink()
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)


def append(one, two, root):
    if one.is_file() and not one.is_symlink():
        with one.open("a") as file:
            file.write("more\n")


def write(one, two, root):
    clear(one, root)
    one.write_text(f"*.tmp\nout/\n{two.name}\n")


def mkdir(one, two, root):
    clear(one, root)
    one.mkdir()


def chmod(one, two, root):
    if one.is_file() and not one.is_symlink():
        one.chmod(one.stat().st_mode ^ 0o111)


def symlink(one, two, root):
    clear(one, root)
    one.symlink_to(two.name)


def link(one, two, root):
    """In a folder that is followed: what a link in a new or ignored one is for, nobody hears."""
    if one.parent == root and apart(one, two) and two.is_file() and not two.is_symlink():
        clear(one, root)
        if two.is_file():
            os.link(two, one)


def move(one, two, root):
    if apart(one, two):
        clear(one, root)
        if os.path.lexists(two):
            two.rename(one)


def replace(one, two, root):
    clear(one, root)
    temporary = root / "temporary"
    temporary.write_text(two.name)
    temporary.rename(one)


def apart(one, two):
    return one != two and one not in two.parents and two not in one.parents


def delete(one, two, root):
    clear(one, root)


ACTIONS = [append, write, mkdir, delete, chmod, symlink, link, move, replace]
STORMS = st.lists(
    st.lists(
        st.tuples(st.sampled_from(ACTIONS), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        max_size=8,
    ),
    max_size=6,
)


def assert_followed(repo, store, folder, storms):
    """The same storms seen by one who follows and by one who looks everywhere."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(repo.root, folder, ignore=shutil.ignore_patterns(".git"))
    following = Checkout(folder, Folder(), store, follow=True)
    everywhere = Checkout(folder, Folder(), store)
    following.scan()
    everywhere.scan()
    try:
        for storm in storms:
            for action, first, second in storm:
                action(folder / first, folder / second, folder)
            assert following.scan() == everywhere.scan()
            assert entries(following) == entries(everywhere)
    finally:
        following.close()


def entries(checkout):
    return {path: known.entry for path, known in checkout.known.walk()}


RELAXED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=60, deadline=None, suppress_health_check=RELAXED)
@given(storms=STORMS)
def test_a_storm_is_seen_as_a_full_scan_sees_it(repo, store, tmp_path, storms):
    assert_followed(repo, store, tmp_path / "tree", storms)


LINKED = {
    "then replaced": [[(link, "c", "a")], [(append, "a", "a"), (write, "a", "a")]],
    "written and removed": [[(link, "c", "a"), (append, "c", "c"), (delete, "c", "c")]],
    "written and moved": [[(link, "c", "a"), (append, "c", "c"), (move, "b", "c")]],
    "written and covered": [[(link, "c", "a"), (append, "c", "c"), (replace, "c", "b")]],
}


@pytest.mark.parametrize("storms", LINKED.values(), ids=LINKED)
def test_a_file_with_two_names_is_followed_under_both(repo, store, tmp_path, storms):
    assert_followed(repo, store, tmp_path / "tree", storms)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=3000, deadline=None, suppress_health_check=RELAXED)
@given(storms=STORMS)
def test_many_storms_are_seen_as_a_full_scan_sees_them(repo, store, tmp_path, storms):
    assert_followed(repo, store, tmp_path / "tree", storms)


def test_events_that_were_lost_mean_a_full_scan(repo, home):
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with started(repo, home) as session:
        session.append(b"", when=WHEN, paths=None)
        for number in range(limit // 3 + 100):  # each: created, modified, closed
            (session.worktree / "b" / str(number % 50)).write_text(str(number))
            (session.worktree / "b" / str(number % 50)).unlink()
        (session.worktree / "late").write_text("x")
        assert [f.path for f in session.append(b"", when=WHEN, paths=None).files] == ["late"]


@pytest.mark.parametrize("why", ["no instance", "no watches", "another file system"])
def test_without_inotify_everything_is_looked_at(repo, home, monkeypatch, why):
    if why == "no instance":
        monkeypatch.setattr(watch, "_libc", lambda: _Refusing())
    elif why == "no watches":
        monkeypatch.setattr(watch.Watch, "add", lambda self, *_: setattr(self, "is_broken", True))
    else:
        monkeypatch.setattr(watch, "filesystem", lambda _: "nfs4")
    with started(repo, home) as session:
        for number in range(3):
            (session.worktree / "new").write_text(f"{number}\n")
            assert len(session.append(b"", when=WHEN, paths=None).files) == 1


class _Refusing:
    def inotify_init1(self, _):
        return -1


def test_what_is_written_while_looking_is_found_the_next_time(repo, home):
    with started(repo, home) as session:
        session.append(b"", when=WHEN, paths=None)
        done = threading.Event()

        def write():
            for number in range(300):
                folder = session.worktree / f"new/{number % 7}/{number % 3}"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / str(number)).write_text("x")
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        found = set()
        while not done.is_set():
            found |= {f.path for f in session.append(b"", when=WHEN, paths=None).files}
        writer.join()
        found |= {f.path for f in session.append(b"", when=WHEN, paths=None).files}
        assert len(found) == 300


def test_a_file_written_through_a_hard_link_outside_is_found_before_long(repo, home, tmp_path):
    with started(repo, home) as session:
        session.append(b"", when=WHEN, paths=None)
        os.link(session.worktree / "a", tmp_path / "outside")
        (tmp_path / "outside").write_text("other\n")
        (tmp_path / "outside").unlink()
        steps = [session.append(b"", when=WHEN, paths=None) for _ in range(20)]
        assert [f.path for step in steps for f in step.files] == ["a"]


def test_no_descriptor_is_left_open(repo, home):
    before = set(Path("/proc/self/fd").iterdir())
    with started(repo, home) as session:
        for _ in range(3):
            session.append(b"", when=WHEN, paths=None)
    assert set(Path("/proc/self/fd").iterdir()) == before
