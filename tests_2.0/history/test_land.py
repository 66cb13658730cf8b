import errno
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier

import lander
import pytest
from git_repository import WHEN, GitRepository
from sessions import started

from mlxk.contract.errors import (
    AlreadyExists,
    BranchNotFound,
    DirtyMerge,
    DiskFull,
    InvalidValue,
    Locked,
    MergeConflict,
    StaleBranch,
)
from mlxk.contract.notes import collecting
from mlxk.history import index, merge, target, trash
from mlxk.history.journal import Journal
from mlxk.history.land import Order, land
from mlxk.history.session import Session
from mlxk.history.store import Store

ME = "Me <me@localhost>"


@pytest.fixture
def repo(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    repo.write("a", "".join(f"{n}\n" for n in range(20)))
    repo.write("src/gone", "bye\n")
    repo.write("run.sh", "x\n")
    repo.commit("first")
    return repo


@pytest.fixture
def session(repo, home):
    with started(repo, home) as session:
        yield session


def work(session, **files):
    """A step that writes these files; None deletes."""
    for name, text in files.items():
        file = session.worktree / name
        file.unlink() if text is None else file.write_text(text)
    session.append(b"x\n", when=WHEN, paths=None)


def order(session, branch="main", **options):
    place = session.record.at(session.record.step)
    return Order(place, branch, ME, WHEN, **options)


def landed(session, *args, **options):
    return land(session.record.store, order(session, *args, **options))


def test_a_session_lands_as_one_commit_of_the_users(session, repo):
    work(session, new="1\n")
    work(session, new="2\n")
    before = repo.git("rev-parse", "main")
    done = landed(session, subject="add new")
    told = repo.git("log", "-1", "--format=%an|%ae|%cn|%s|%P", "main")
    assert told == f"Me|me@localhost|Me|add new|{before}"
    assert (done.before, done.commit) == (before, repo.git("rev-parse", "main"))
    assert [f.path for f in done.files] == ["new"]


def test_the_checkout_of_the_branch_follows(session, repo):
    work(session, new="1\n", a="changed\n")
    (session.worktree / "src/gone").unlink()
    (session.worktree / "run.sh").chmod(0o755)
    session.append(b"", when=WHEN, paths=None)
    assert landed(session).checkouts == (repo.root,)
    assert repo.git("status", "--porcelain=v2") == ""
    assert (repo.root / "a").read_text() == "changed\n"
    assert not (repo.root / "src").exists()
    assert repo.fsck() == ""


def test_one_git_command_takes_the_landing_back(session, repo):
    work(session, new="1\n")
    landed(session)
    repo.git("reset", "-q", "--hard", "HEAD@{1}")
    assert repo.git("log", "--format=%s") == "first"
    repo.git("reset", "-q", "--hard", "main@{1}")


def test_a_merge_keeps_every_step(session, repo):
    work(session, new="1\n")
    repo.commit("meanwhile")
    landed(session, how="merge")
    parents = repo.git("log", "-1", "--format=%P").split()
    assert parents[1] == session.record.code
    assert "add new (+1 -0)" in repo.git("log", "--format=%s")


def test_what_the_user_changed_meanwhile_stays(session, repo):
    work(session, a="first\n" + "".join(f"{n}\n" for n in range(1, 20)))
    repo.write("a", "".join(f"{n}\n" for n in range(19)) + "last\n")
    repo.commit("meanwhile")
    landed(session)
    lines = (repo.root / "a").read_text().splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("first", "last", 20)


def test_a_conflict_changes_nothing_and_names_the_path(session, repo):
    work(session, a="theirs\n", new="x\n")
    repo.write("a", "mine\n")
    repo.commit("meanwhile")
    before = repo.footprint()
    with pytest.raises(MergeConflict) as caught:
        landed(session)
    assert caught.value.details["paths"] == ["a"]
    assert repo.footprint() == before


@pytest.mark.parametrize("change", ["edit", "stage", "delete", "untracked", "untracked folder"])
def test_a_dirty_checkout_is_refused_untouched(session, repo, change):
    work(session, new="x\n")
    match change:
        case "delete":
            (repo.root / "a").unlink()
        case "untracked":
            repo.write("new", "mine\n")
        case "untracked folder":
            repo.write("new/x", "mine\n")
        case _:
            repo.write("a", "mine\n")
    if change == "stage":
        repo.git("add", "a")
        repo.write("a", "".join(f"{n}\n" for n in range(20)))
    before = repo.footprint()
    with pytest.raises(DirtyMerge):
        landed(session)
    assert repo.footprint() == before


def test_files_that_are_not_in_the_way_may_be_untracked(session, repo):
    repo.write("notes", "mine\n")
    work(session, new="x\n")
    landed(session)
    assert repo.git("status", "--porcelain") == "?? notes"


def test_uncommitted_work_that_the_session_saw_is_not_landed(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    repo.write("a", "one\n")
    repo.write("b", "one\n")
    head = repo.commit("first")
    repo.write("a", "dirty\n")
    with started(repo, home) as session:
        work(session, b="two\n")
        with pytest.raises(InvalidValue):
            landed(session, "side", create=True, how="merge")
        before = repo.footprint()
        landed(session, "side", create=True)
    assert repo.git("diff", "--name-only", head, "side") == "b"
    after = repo.footprint()
    assert (after["files"], after["index"], after["head"]) == (
        before["files"], before["index"], before["head"]
    )  # fmt: skip


def test_a_new_branch_starts_where_the_session_did(session, repo):
    start = repo.git("rev-parse", "HEAD")
    repo.write("a", "mine\n")
    repo.commit("meanwhile")
    work(session, a="theirs\n")
    landed(session, "side", create=True)
    assert repo.git("rev-parse", "side^") == start


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("there", "wanted"), [("a/b", "a"), ("a", "a/b")])
def test_a_branch_that_another_leaves_no_place_for_is_refused(session, repo, there, wanted, packed):
    work(session, a="theirs\n")
    repo.git("branch", there)
    if packed:
        repo.git("pack-refs", "--all")
    with pytest.raises(AlreadyExists, match="in the way"):
        landed(session, wanted, create=True)
    assert repo.fsck() == ""


def test_nothing_to_land_moves_nothing(session, repo):
    before = repo.footprint()
    assert landed(session).files == ()
    assert repo.footprint() == before


@pytest.mark.parametrize("how", ["squash", "merge"])
def test_a_landing_after_more_work_on_the_same_lines_brings_the_rest(session, repo, how):
    work(session, new="1\n", a="mine\n")
    landed(session, how=how)
    repo.write("users", "own\n")
    repo.commit("meanwhile")
    work(session, new="1\n2\n", a="mine again\n")
    done = landed(session, how=how)
    assert [(f.path, f.additions, f.deletions) for f in done.files] == [("a", 1, 1), ("new", 1, 0)]
    assert (repo.root / "new").read_text() == "1\n2\n"
    assert repo.git("status", "--porcelain") == ""


def test_what_landed_and_the_user_changed_since_stays_as_the_user_has_it(session, repo):
    work(session, new="1\n2\n3\n4\n5\n")
    landed(session)
    repo.write("new", "1\n2\n3\n4\nfive\n")
    repo.commit("mine")
    work(session, new="one\n2\n3\n4\n5\n")
    landed(session)
    assert (repo.root / "new").read_text() == "one\n2\n3\n4\nfive\n"
    repo.write("new", "mine\n")
    repo.commit("mine, too")
    work(session, new="uno\n2\n3\n4\n5\n")
    with pytest.raises(MergeConflict):
        landed(session)


def test_what_git_reverted_lands_again_whole(session, repo):
    work(session, new="1\n")
    landed(session)
    repo.git("revert", "--no-edit", "HEAD")
    work(session, other="2\n")
    assert [f.path for f in landed(session).files] == ["new", "other"]


def test_a_fork_lands_after_what_it_was_forked_from(session, repo, home):
    work(session, new="1\n")
    place = session.record.at(session.record.step)
    landed(session)
    store = session.record.store
    with Session.fork(store, place, b"{}", name="fork", when=WHEN) as fork:
        work(fork, new="1\n2\n")
        landed(fork)
    assert (repo.root / "new").read_text() == "1\n2\n"


def test_landing_twice_is_landing_once(session, repo):
    work(session, new="1\n")
    commit = landed(session).commit
    assert landed(session).commit == commit


def test_names_are_checked(session, repo):
    with pytest.raises(BranchNotFound):
        landed(session, "nowhere")
    with pytest.raises(AlreadyExists):
        landed(session, "main", create=True)
    with pytest.raises(InvalidValue):
        landed(session, "mlxk/try")


def test_an_index_that_git_has_locked_is_respected(session, repo):
    work(session, new="1\n")
    lock = repo.write(".git/index.lock", "")
    with pytest.raises(Locked) as caught:
        landed(session)
    assert (caught.value.details["path"], f"rm {lock}" in caught.value.hint) == (str(lock), True)
    assert lock.exists()
    assert not (repo.root / "new").exists()


def test_a_branch_that_moves_at_the_last_moment_puts_everything_back(session, repo, monkeypatch):
    work(session, new="1\n", a="changed\n")
    monkeypatch.setattr(session.record.store.refs, "swap", lambda *_, **__: False)
    with pytest.raises(StaleBranch):
        landed(session)
    assert repo.git("status", "--porcelain") == ""
    assert not (repo.root / ".git/index.lock").exists()


def killed_landing(repo, home, point):
    argv = [sys.executable, lander.__file__, str(repo.root), str(home / ".mlxk"), "try", point]
    env = os.environ | {"PYTHONPATH": str(Path(lander.__file__).parents[2])}
    done = subprocess.run(argv, env=env, capture_output=True, check=False, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("point", lander.POINTS)
def test_the_next_landing_ends_what_a_kill_cut_off(session, repo, home, point):
    work(session, new="1\n", a="changed\n")
    (session.worktree / "src/gone").unlink()
    (session.worktree / "run.sh").chmod(0o755)
    session.append(b"", when=WHEN, paths=None)
    killed_landing(repo, home, point)
    with collecting() as notes:
        landed(session)
    assert [n.code for n in notes] == ["landing_mended"] * (point != "published")
    assert repo.git("status", "--porcelain=v2") == ""
    assert repo.git("show", "main:a") == (repo.root / "a").read_text().strip() == "changed"
    assert not (repo.root / "src").exists()
    assert repo.git("rev-list", "--count", "main") == "2"
    assert list((repo.root / ".git").glob("*mlxk-landing*")) == []
    assert repo.fsck() == ""


def test_pruning_ends_what_a_kill_cut_off(session, repo, home):
    work(session, a="changed\n")
    killed_landing(repo, home, "files")
    assert (repo.root / "a").read_text() == "changed\n"
    trash.prune(session.record.store, WHEN)
    assert repo.git("status", "--porcelain=v2") == ""
    assert (repo.root / "a").read_text() == "".join(f"{n}\n" for n in range(20))


@pytest.mark.parametrize("point", ["files", "moved"])
def test_what_a_person_did_after_the_kill_stays(session, repo, home, point):
    work(session, a="changed\n", new="1\n")
    killed_landing(repo, home, point)
    repo.write("a", "mine\n")
    with collecting(), suppress(DirtyMerge):
        landed(session)
    assert (repo.root / "a").read_text() == "mine\n"
    assert "a" in repo.git("diff", "--name-only")
    assert not (repo.root / ".git/index.lock").exists()


@pytest.mark.parametrize("point", ["files", "moved"])
def test_a_lock_of_gits_own_is_not_touched_after_a_kill(session, repo, home, point):
    work(session, a="changed\n")
    killed_landing(repo, home, point)
    lock = repo.root / ".git/index.lock"
    lock.unlink()
    lock.write_text("git's")
    with pytest.raises(Locked):
        landed(session)
    assert lock.read_text() == "git's"


def test_a_landing_that_still_runs_is_waited_for(session, repo):
    work(session, a="changed\n")
    Journal.begin(repo.root / ".git", "refs/heads/main", None, "0" * 40)
    with pytest.raises(Locked):
        landed(session)
    assert (repo.root / ".git/index.lock").exists()


def test_landings_at_once_wait_for_each_other_and_none_is_lost(repo, home):
    names, together = ["one", "two", "three", "four"], Barrier(4, timeout=60)

    def do(name):
        with (
            Store.open(repo.root, home / ".mlxk") as store,
            Session.create(store, b"{}", name=name, when=WHEN) as session,
        ):
            work(session, **{name: "1\n"})
            together.wait()
            landed(session)

    with ThreadPoolExecutor() as pool:
        list(pool.map(do, names))
    assert repo.git("rev-list", "--count", "main") == "5"
    assert set(names) < set(repo.git("ls-tree", "--name-only", "main").split())
    assert repo.git("status", "--porcelain=v2") == ""
    assert list((repo.root / ".git").glob("*mlxk-landing*")) == []
    assert repo.fsck() == ""


def test_a_landing_that_takes_long_is_named_and_left_alone(session, repo, monkeypatch):
    monkeypatch.setattr(target, "_WAIT_S", 0.05)
    work(session, new="1\n")
    with target.alone(session.record.store), pytest.raises(Locked, match="another landing"):
        landed(session)
    assert not (repo.root / "new").exists()
    landed(session)


def full(*_, **__):
    raise DiskFull("no space left")


def test_a_disk_too_full_for_the_index_puts_everything_back(session, repo, monkeypatch):
    work(session, new="1\n", a="changed\n")
    before = repo.git("rev-parse", "main")
    monkeypatch.setattr(index, "encode", full)
    with pytest.raises(DiskFull):
        landed(session)
    monkeypatch.undo()
    assert repo.git("rev-parse", "main") == before
    assert repo.git("status", "--porcelain") == ""
    assert not (repo.root / ".git/index.lock").exists()


def test_a_disk_too_full_for_a_file_leaves_nothing_behind(session, repo, monkeypatch):
    work(session, b="1\n", z="2\n")
    real = os.rename

    def refusing(source, target):
        if os.fsdecode(target).endswith("/z"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "rename", refusing)
    with pytest.raises(DiskFull):
        landed(session)
    monkeypatch.undo()
    assert repo.git("status", "--porcelain") == ""


def test_an_interrupt_after_the_branch_moved_leaves_the_landing_whole(session, repo, monkeypatch):
    work(session, new="1\n", a="changed\n")
    refs = session.record.store.refs
    real = refs.swap

    def interrupted(*args, **options):
        real(*args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(refs, "swap", interrupted)
    with pytest.raises(KeyboardInterrupt):
        landed(session)
    assert repo.git("show", "main:new") == "1"
    assert repo.git("status", "--porcelain") == ""
    assert not (repo.root / ".git/index.lock").exists()


def test_an_index_that_cannot_be_renamed_does_not_undo_the_landing(session, repo, monkeypatch):
    work(session, new="1\n", a="changed\n")
    real = Path.rename

    def refusing(self, target):
        if self.name == "index.lock":
            raise OSError(errno.EIO, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", refusing)
    with collecting() as notes:
        assert landed(session).commit == repo.git("rev-parse", "main")
    assert [n.code for n in notes] == ["index_behind"]
    repo.git("reset", "-q")
    assert repo.git("status", "--porcelain") == ""


def test_a_reflog_that_cannot_be_written_does_not_undo_the_landing(session, repo):
    work(session, new="1\n")
    log = repo.root / ".git/logs/refs/heads/main"
    log.unlink()
    log.mkdir()
    with collecting() as notes:
        landed(session)
    assert [n.code for n in notes] == ["reflog_not_written"]
    assert repo.git("status", "--porcelain") == ""


@pytest.mark.parametrize("kind", ["submodule", "worktree of a submodule", "git folder elsewhere"])
def test_a_checkout_whose_git_folder_is_elsewhere_follows_too(repo, home, tmp_path, kind):
    there = repo.root.parent / "there"
    if kind == "git folder elsewhere":
        repo.git("clone", "-q", "--separate-git-dir", "../kept.git", ".", str(there))
    else:
        outer = GitRepository(repo.root.parent / "outer")
        outer.git("submodule", "add", "-q", str(repo.root), "inner")
        there = outer.root / "inner"
    at = there
    if kind == "worktree of a submodule":
        at = tmp_path / "linked"
        repo.git("worktree", "add", "-q", "-b", "side", str(at), at=there)
    with (
        Store.open(at, home / ".mlxk") as store,
        Session.create(store, b"{}", name="try", when=WHEN) as session,
    ):
        work(session, new="1\n", a=None)
        assert landed(session).checkouts == (there,)
    assert repo.git("status", "--porcelain", at=there) == ""
    assert (there / "new").exists()


def test_what_is_in_the_way_is_told_in_one_line(session, repo):
    names = ["a\nb", "c\x1b[31m", *"defgh"]
    for name in names:
        repo.write(name, "1\n")
    repo.commit("odd names")
    work(session, new="1\n")
    for name in names:
        repo.write(name, "2\n")
    with pytest.raises(DirtyMerge, match=r"in a\\nb, c\\x1b\[31m, d, e, f and 2 more$") as caught:
        landed(session)
    assert caught.value.details["paths"] == names


def test_a_branch_that_is_being_rebased_is_left_alone(session, repo):
    repo.write("mine", "1\n")
    repo.commit("mine")
    repo.git("rebase", "-q", "-i", "HEAD~1", env={"GIT_SEQUENCE_EDITOR": "sed -i 1s/pick/edit/"})
    work(session, new="1\n")
    before = repo.footprint()
    with pytest.raises(DirtyMerge, match="main is being rebased"):
        landed(session)
    assert repo.footprint() == before
    repo.git("rebase", "--continue")
    landed(session)
    assert repo.git("status", "--porcelain") == ""


def test_a_linked_worktree_follows_too(session, repo):
    repo.git("worktree", "add", "-q", "-b", "side", "../linked", "main")
    work(session, new="1\n")
    assert landed(session, "side").checkouts == (repo.root.parent / "linked",)
    assert repo.git("status", "--porcelain", at=repo.root.parent / "linked") == ""


def test_merged_text_is_what_git_merge_file_says(tmp_path):
    repo = GitRepository(tmp_path / "repo")
    chance = random.Random(3)
    for _ in range(150):
        base = [chance.choice("abcdefgh") + "\n" for _ in range(12)]
        sides = [_edited(base, chance) for _ in range(2)]
        for name, lines in zip(("base", "ours", "theirs"), (base, *sides), strict=True):
            repo.write(name, "".join(lines))
        theirs = repo.git("merge-file", "-p", "ours", "base", "theirs", check=False, text=False)
        ours = merge.text(*((repo.root / n).read_bytes() for n in ("base", "ours", "theirs")))
        assert ours == (None if b"<<<<" in theirs else theirs)


def _edited(lines, chance):
    lines = list(lines)
    for _ in range(chance.randrange(3)):
        at = chance.randrange(len(lines))
        lines[at : at + chance.randrange(2)] = chance.choices(["x\n", "y\n"], k=chance.randrange(3))
    return lines
