import shutil
from datetime import timedelta

import pytest
from git_repository import WHEN, GitRepository

from mlxk.contract.errors import AlreadyExists, SessionBusy, SessionNotFound, StaleBranch
from mlxk.history import trash
from mlxk.history.land import Order, land
from mlxk.history.record import find, records
from mlxk.history.session import Session
from mlxk.history.worktree import places

LATER = WHEN + timedelta(days=1)


@pytest.fixture
def repo(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    repo.write("a", "one\n")
    repo.commit("first")
    return repo


@pytest.fixture
def session(store):
    with Session.create(store, b"{}", name="try", when=WHEN) as session:
        for number in (1, 2):
            (session.worktree / f"new{number}").write_text("x\n")
            (session.worktree / "a").write_text(f"{number}\n")
            session.append(b"%d\n" % number, when=WHEN, paths=None)
        yield session


def test_an_undo_restores_files_and_conversation(session):
    step = session.undo(1, when=WHEN)
    assert (step.number, step.subject) == (3, "undo to step 1")
    assert session.record.lines() == b"1\n"
    assert not (session.worktree / "new2").exists()
    assert (session.worktree / "a").read_text() == "1\n"
    assert session.append(b"", when=WHEN, paths=None).files == ()


def test_an_undo_can_be_undone(session, repo):
    session.undo(0, when=WHEN)
    session.undo(2, when=WHEN)
    session.append(b"3\n", when=WHEN)
    assert session.record.lines() == b"1\n2\n3\n"
    assert (session.worktree / "new2").exists()
    assert repo.fsck() == ""


def test_an_undo_loses_no_uncommitted_work(session):
    (session.worktree / "left").write_text("x\n")
    session.undo(1, when=WHEN)
    assert not (session.worktree / "left").exists()
    assert [f.path for f in session.recovered.files] == ["left"]
    session.undo(session.recovered.number, when=WHEN)
    assert (session.worktree / "left").exists()


def test_undoing_to_no_step_is_refused(session):
    with pytest.raises(SessionNotFound):
        session.undo(9, when=WHEN)


@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
def test_a_discarded_session_is_gone_but_kept(session, store, repo, packed):
    session.close()
    if packed:
        repo.git("tag", "-a", "-m", "x", "annotated")
        repo.git("pack-refs", "--all", "--prune")
    before = repo.footprint()
    trash.discard(store, session.record, WHEN)
    assert records(store) == ()
    assert repo.git("for-each-ref", "refs/heads/mlxk", "refs/mlxk/sessions") == ""
    assert repo.git("worktree", "list").count("\n") == 0
    assert not session.worktree.exists()
    after = repo.footprint()
    assert after | {"packed": None} == before | {"packed": None}
    repo.git("gc", "-q", "--prune=now")
    assert [d.record.id for d in trash.discarded(store)] == [session.id]
    assert repo.fsck() == ""


def test_a_session_comes_back_from_the_trash(session, store):
    session.close()
    trash.discard(store, session.record, WHEN)
    trash.restore(store, "try")
    with Session.open(store, "try", when=WHEN) as again:
        assert again.record.lines() == b"1\n2\n"
        assert (again.worktree / "new2").exists()
    assert trash.discarded(store) == ()


def test_a_pruned_session_comes_back_by_its_hash_until_gc(session, store, repo):
    session.close()
    gone = trash.discard(store, session.record, WHEN).record
    trash.prune(store, LATER)
    repo.git("gc", "-q")
    assert trash.restore(store, gone.head[:12]).head == gone.head
    with Session.open(store, "try", when=WHEN) as again:
        assert again.record.lines() == b"1\n2\n"
        assert (again.worktree / "new2").exists()
    assert repo.fsck() == ""


def test_what_gc_has_taken_does_not_come_back(session, store, repo):
    session.close()
    gone = trash.discard(store, session.record, WHEN).record
    trash.prune(store, LATER)
    repo.git("gc", "-q", "--prune=now")
    with pytest.raises(SessionNotFound):
        trash.restore(store, gone.head)


def test_who_forgot_the_name_is_told_what_the_trash_holds(session, store):
    session.close()
    trash.discard(store, session.record, WHEN)
    with pytest.raises(SessionNotFound, match="which holds try") as caught:
        trash.restore(store, "nothing")
    assert caught.value.hint == "mlxk branch list --trash"


def test_who_has_the_name_makes_room_and_both_are_kept(session, store):
    session.close()
    trash.discard(store, session.record, WHEN)
    with Session.create(store, b"{}", name="try", when=WHEN) as other:
        pass
    with pytest.raises(AlreadyExists) as caught:
        trash.restore(store, "try")
    assert caught.value.hint == (f"mlxk branch rm --force try && mlxk branch restore {session.id}")
    trash.discard(store, other.record, WHEN)
    assert trash.restore(store, session.id).id == session.id
    assert [d.record.id for d in trash.discarded(store)] == [other.id]


def test_what_is_not_in_the_trash_is_not_found(store):
    with pytest.raises(SessionNotFound):
        trash.restore(store, "try")


def test_a_name_that_was_taken_meanwhile_is_not_overwritten(session, store):
    session.close()
    trash.discard(store, session.record, WHEN)
    Session.create(store, b"{}", name="try", when=WHEN).close()
    with pytest.raises(AlreadyExists):
        trash.restore(store, "try")


def test_a_session_at_work_is_not_discarded(session, store):
    with pytest.raises(SessionBusy):
        trash.discard(store, session.record, WHEN)
    assert find(store, "try").step == 2


def refs_of(repo):
    return repo.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/mlxk")


def test_what_a_killed_run_left_comes_back_too(session, store, repo):
    (session.worktree / "left").write_text("mine\n")
    (session.worktree / "a").write_text("edited\n")
    session.close()
    gone = trash.discard(store, session.record, WHEN)
    assert gone.record.step == 3
    repo.git("gc", "-q", "--prune=now")
    trash.restore(store, "try")
    with Session.open(store, "try", when=WHEN) as again:
        assert (again.worktree / "left").read_text() == "mine\n"
        assert (again.worktree / "a").read_text() == "edited\n"
    assert repo.fsck() == ""


def test_a_session_that_went_on_is_not_discarded(session, store, repo):
    seen = session.record
    session.append(b"3\n", when=WHEN)
    session.close()
    before = refs_of(repo)
    with pytest.raises(StaleBranch):
        trash.discard(store, seen, WHEN)
    assert refs_of(repo) == before
    assert session.worktree.exists()


@pytest.mark.parametrize("kept", [True, False], ids=["worktree", "no worktree"])
def test_commits_that_a_person_made_on_the_branch_come_back_too(session, store, repo, kept):
    session.close()
    repo.git("commit", "-q", "--allow-empty", "-m", "by hand", at=session.worktree)
    mine = repo.git("rev-parse", "mlxk/try")
    if not kept:
        shutil.rmtree(session.worktree)
    trash.discard(store, session.record, WHEN)
    trash.restore(store, "try")
    assert repo.git("rev-parse", "mlxk/try") == mine


def test_a_branch_that_was_moved_elsewhere_is_not_deleted(session, store, repo):
    session.close()
    other = repo.git("commit-tree", "-m", "other", "HEAD^{tree}")
    repo.git("update-ref", "refs/heads/mlxk/try", other)
    before = refs_of(repo)
    with pytest.raises(StaleBranch):
        trash.discard(store, session.record, WHEN)
    assert refs_of(repo) == before
    assert session.worktree.exists()


@pytest.mark.parametrize("refused", ["refs/heads/", "refs/mlxk/sessions/"])
def test_a_refusal_halfway_changes_no_ref(session, store, repo, monkeypatch, refused):
    session.close()
    before = refs_of(repo)
    real = store.refs.drop
    monkeypatch.setattr(
        store.refs, "drop", lambda ref, old: not ref.startswith(refused) and real(ref, old)
    )
    with pytest.raises(StaleBranch):
        trash.discard(store, session.record, WHEN)
    assert refs_of(repo) == before
    assert session.worktree.exists()


def test_pruning_forgets_what_is_old_enough(session, store, repo):
    session.close()
    trash.discard(store, session.record, WHEN)
    assert trash.prune(store, WHEN) == ()
    assert len(trash.prune(store, LATER)) == 1
    repo.git("gc", "-q", "--prune=now")
    assert repo.git("cat-file", "-t", session.record.head, check=False) == ""


def test_pruning_sweeps_up_worktrees_of_no_session(session, store, repo):
    orphan = places(store, "orphan")
    (orphan.folder / "x").mkdir(parents=True)
    orphan.admin.mkdir()
    (orphan.admin / "locked").write_text("")
    (orphan.folder.parent / ".half.1.2").mkdir()
    trash.prune(store, LATER)
    assert [p.name for p in orphan.folder.parent.iterdir()] == [session.id]
    assert [p.name for p in orphan.admin.parent.iterdir()] == [f"mlxk-{session.id}"]


def test_landed_work_is_known_as_landed(session, store, repo):
    assert not trash.is_landed(store, session.record, store.head())
    place = session.record.at(2)
    land(store, Order(place, "main", "Me <me@localhost>", WHEN))
    repo.write("more", "x\n")
    repo.commit("meanwhile")
    assert trash.is_landed(store, session.record, store.head())
    assert not trash.is_landed(store, session.record, None)
