import pytest
from git_repository import WHEN, GitRepository
from sessions import started

from mlxk.contract.errors import BranchNotFound, DirtyMerge, MergeConflict, NotFound
from mlxk.history import land, unland

ME = "Me <me@localhost>"


@pytest.fixture
def repo(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    repo.write("a", "".join(f"{n}\n" for n in range(20)))
    repo.commit("first")
    return repo


@pytest.fixture
def session(repo, home):
    with started(repo, home) as session:
        (session.worktree / "a").write_text("new first\n" + (session.worktree / "a").read_text())
        (session.worktree / "new").write_text("x\n")
        session.append(b"x\n", when=WHEN, paths=None)
        yield session


def landed(session, **options):
    place = session.record.at(session.record.step)
    return land.land(session.record.store, land.Order(place, "main", ME, WHEN, **options))


def taken_back(session, branch="main"):
    order = unland.Order(session.record, branch, ME, WHEN)
    return unland.unland(session.record.store, order)


@pytest.mark.parametrize("how", ["squash", "merge"])
def test_nothing_is_left_of_a_landing_that_nothing_was_built_on(session, repo, how):
    before = repo.git("rev-parse", "main")
    landed(session, how=how)
    back = taken_back(session)
    assert (back.commit, repo.git("rev-parse", "main")) == (before, before)
    assert repo.git("status", "--porcelain") == ""
    assert not (repo.root / "new").exists()
    assert repo.git("log", "-g", "-1", "--format=%gs", "main") == "unland: mlxk/try"


@pytest.mark.parametrize("how", ["squash", "merge"])
def test_later_commits_of_the_users_stay(session, repo, how):
    landed(session, how=how)
    repo.write("mine")
    repo.write("a", (repo.root / "a").read_text() + "last\n")
    mine = repo.commit("mine")
    taken_back(session)
    assert (
        repo.git("log", "-1", "--format=%P|%an|%s", "main") == f'{mine}|Me|Revert "land mlxk/try"'
    )
    assert repo.tree_files("main") == ["a", "mine"]
    assert (repo.root / "a").read_text() == "".join(f"{n}\n" for n in range(20)) + "last\n"
    assert repo.git("status", "--porcelain") == ""
    with pytest.raises(NotFound):
        taken_back(session)


def test_it_lands_again_and_is_taken_back_again(session, repo):
    landed(session)
    repo.write("mine")
    repo.commit("mine")
    taken_back(session)
    landed(session)
    assert (repo.root / "new").exists()
    taken_back(session)
    assert not (repo.root / "new").exists()


def test_what_was_pushed_is_reverted_and_not_rewritten(session, repo):
    done = landed(session)
    repo.git("update-ref", "refs/remotes/origin/main", done.commit)
    back = taken_back(session)
    assert repo.git("rev-parse", "main~1") == done.commit
    assert repo.tree_of(back.commit) == repo.tree_of(done.before)


def test_a_first_commit_is_taken_back_by_an_empty_one(tmp_path, home):
    repo = GitRepository(tmp_path / "unborn")
    with started(repo, home) as session:
        (session.worktree / "new").write_text("x\n")
        session.append(b"x\n", when=WHEN, paths=None)
        landed(session, create=True)
        taken_back(session)
    assert repo.tree_files("main") == []


def test_what_was_changed_since_is_named_and_nothing_changes(session, repo):
    done = landed(session)
    repo.write("a", "other first\n" + (repo.root / "a").read_text().partition("\n")[2])
    repo.commit("mine")
    before = repo.footprint()
    with pytest.raises(MergeConflict) as caught:
        taken_back(session)
    assert (caught.value.details["paths"], caught.value.hint) == (
        ["a"],
        f"git revert {done.commit[:12]}",
    )
    assert repo.footprint() == before


def test_uncommitted_work_is_not_touched(session, repo):
    landed(session)
    repo.write("a", "mine\n")
    before = repo.footprint()
    with pytest.raises(DirtyMerge):
        taken_back(session)
    assert repo.footprint() == before


def test_what_has_not_landed_cannot_be_taken_back(session, repo):
    with pytest.raises(NotFound, match="nothing of mlxk/try has landed on main"):
        taken_back(session)
    with pytest.raises(BranchNotFound):
        taken_back(session, "nowhere")


def test_another_sessions_landing_stays(session, repo):
    landed(session)
    repo.git("switch", "-qc", "side")
    repo.git("commit", "-q", "--amend", "-m", "mine now")
    with pytest.raises(NotFound):
        taken_back(session, "side")
