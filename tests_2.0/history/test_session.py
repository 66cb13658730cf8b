import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier, Timer

import pytest
from git_repository import WHEN, GitRepository

from mlxk.contract.errors import (
    AlreadyExists,
    AmbiguousMatch,
    HistoryCorrupt,
    InvalidValue,
    SessionBusy,
    SessionNotFound,
    StaleBranch,
    UnsafePath,
)
from mlxk.contract.notes import collecting
from mlxk.history.distance import Distances
from mlxk.history.record import find, records
from mlxk.history.session import Session
from mlxk.history.store import Store


@pytest.fixture
def repo(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    repo.write("README", "hello\n")
    repo.write("src/a.py", "one\ntwo\n")
    repo.commit("first")
    return repo


@pytest.fixture
def session(store):
    with Session.create(store, b'{"model":"m"}', name="try", when=WHEN) as session:
        yield session


def test_a_clean_start_is_the_users_own_commit(session, repo):
    assert session.record.base == session.record.code == repo.git("rev-parse", "HEAD")


def test_a_talk_only_step_stores_the_conversation_and_no_code_commit(session, repo):
    step = session.append(b"hi\n", when=WHEN)
    assert (step.number, step.id, step.files) == (1, session.record.base, ())
    assert repo.git("show", f"{step.session_commit}:000/00.jsonl") == "hi"


def test_a_step_with_a_file_is_an_ordinary_commit_on_the_branch(session, repo):
    (session.worktree / "hello.txt").write_text("Hello world\n")
    step = session.append(b"x\n", when=WHEN, paths=["hello.txt"], body="Done.", model="tiny")
    assert repo.git("rev-parse", "mlxk/try") == step.id
    assert repo.git("show", f"{step.id}:hello.txt") == "Hello world"
    assert repo.git("log", "-1", "--format=%an|%ae|%s|%b", step.id).splitlines() == [
        "mlxk|mlxk@localhost|add hello.txt (+1 -0)|Done.",
        "",
        f"Mlxk-Session: {session.id}",
        "Mlxk-Step: 1",
        "Mlxk-Model: tiny",
    ]


def begun(store, how):
    if how == "new":
        return Session.create(store, b"{}", name="other", when=WHEN)
    place = find(store, "try")
    if how == "forked":
        return Session.fork(store, place, b"{}", name="other", when=WHEN)
    return Session.open(store, "try", when=WHEN)


@pytest.mark.parametrize(
    ("how", "step", "left"),
    [
        ("new", False, ["try"]),
        ("forked", False, ["try"]),
        ("opened", False, ["try"]),
        ("new", True, ["other", "try"]),
        ("forked", True, ["other", "try"]),
    ],
)
def test_what_is_withdrawn_is_gone_unless_it_holds_a_step(store, repo, how, step, left):
    with Session.create(store, b"{}", name="try", when=WHEN) as first:
        first.append(b"a\n", when=WHEN)
    session = begun(store, how)
    if step:
        session.append(b"b\n", when=WHEN)
    session.withdraw()
    assert sorted(r.name for r in records(store)) == left
    assert len(repo.git("worktree", "list").splitlines()) == 1 + len(left)
    assert repo.fsck() == ""


def test_two_threads_each_with_a_store_write_beside_each_other(repo, home):
    """As the tabs of one window do."""
    together = Barrier(3, timeout=60)

    def work(name):
        with Store.open(repo.root, home / ".mlxk") as store:
            with Session.create(store, b"{}", name=name, when=WHEN) as session:
                for number in range(100):
                    together.wait()
                    session.append(f"{name} {number}\n".encode(), when=WHEN)
            return session.record

    with ThreadPoolExecutor() as pool:
        found = [*pool.map(work, ["one", "two", "three"])]
    assert [record.step for record in found] == [100, 100, 100]
    assert repo.fsck() == ""
    with Store.open(repo.root, home / ".mlxk") as store:
        for record in records(store):
            assert record.lines().count(record.name.encode()) == 100


def test_git_reads_our_trailers(session, repo):
    (session.worktree / "README").write_text("other\n")
    step = session.append(b"x\n", when=WHEN, paths=["README"], body="Key: not a trailer")
    asked = "--format=%(trailers:key=Mlxk-Step,valueonly)"
    assert repo.git("log", "-1", asked, step.id).strip() == "1"


def test_the_session_commit_has_the_last_step_and_the_code_as_parents(session, repo):
    first = session.append(b"a\n", when=WHEN)
    (session.worktree / "README").write_text("other\n")
    second = session.append(b"b\n", when=WHEN, paths=["README"])
    parents = repo.git("log", "-1", "--format=%P", second.session_commit).split()
    assert parents == [first.session_commit, second.id]


def test_changes_are_counted_per_file(session):
    (session.worktree / "src/a.py").write_text("one\n2\n3\n")
    (session.worktree / "README").unlink()
    (session.worktree / "blob").write_bytes(b"\0\1")
    step = session.append(b"", when=WHEN, paths=["src/a.py", "README", "blob"])
    told = [(f.path, f.status, f.additions, f.deletions, f.binary) for f in step.files]
    assert told == [
        ("README", "deleted", 0, 1, False),
        ("blob", "added", 0, 0, True),
        ("src/a.py", "modified", 2, 1, False),
    ]


def test_a_known_path_that_did_not_change_makes_no_commit(session):
    assert session.append(b"", when=WHEN, paths=["README", "no/such/file"]).files == ()


def test_a_folder_among_the_known_paths_is_looked_through(session):
    (session.worktree / "new/deep").mkdir(parents=True)
    (session.worktree / "new/deep/file").write_text("x")
    assert [f.path for f in session.append(b"", when=WHEN, paths=["new"]).files] == [
        "new/deep/file"
    ]


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a//b", ".git/config", "src/.GIT/x", "", "./README"], ids=repr
)
def test_a_path_that_leads_out_is_refused(session, path):
    with pytest.raises(UnsafePath):
        session.append(b"", when=WHEN, paths=[path])


def test_a_folder_that_became_a_link_hides_what_was_in_it(session):
    (session.worktree / "src/a.py").unlink()
    (session.worktree / "src").rmdir()
    (session.worktree / "src").symlink_to("/etc")
    step = session.append(b"", when=WHEN, paths=["src/a.py", "src", "src/passwd"])
    assert [(f.path, f.status) for f in step.files] == [("src", "added"), ("src/a.py", "deleted")]


def test_an_ignored_file_is_not_committed_and_that_is_said(session):
    (session.worktree / ".gitignore").write_text("*.key\n")
    (session.worktree / "secret.key").write_text("hush")
    with collecting() as notes:
        step = session.append(b"", when=WHEN, paths=[".gitignore", "secret.key"])
    assert [f.path for f in step.files] == [".gitignore"]
    assert [n.code for n in notes] == ["ignored_path"]


@pytest.mark.parametrize(
    "lines",
    [b"\0\xff\xfe\r\n", b"no newline at the end", "\ud800".encode(errors="surrogatepass"), b"\n\n"],
    ids=["bytes", "unfinished", "surrogate", "blank"],
)
def test_any_conversation_comes_back_identical(session, store, lines):
    for _ in range(3):
        session.append(lines, when=WHEN)
    assert find(store, "try").lines() == lines * 3


def test_conversations_of_many_steps_keep_their_order(session):
    for number in range(120):
        session.append(b"%d\n" % number, when=WHEN)
    assert session.record.lines().split() == [b"%d" % n for n in range(120)]
    assert session.record.at(51).lines().split()[-1] == b"50"


def test_steps_are_told_oldest_first(session):
    session.append(b"a\n", when=WHEN, subject="say hello")
    (session.worktree / "new").write_text("x\n")
    session.append(b"b\n", when=WHEN + timedelta(seconds=5), paths=None)
    told = [(s.number, s.subject, len(s.files)) for s in session.record.steps()]
    assert told == [(0, "start try", 0), (1, "say hello", 0), (2, "add new (+1 -0)", 1)]


def test_the_meta_document_is_kept_as_it_was_given(session):
    assert session.record.meta() == b'{"model":"m"}'


def test_a_session_is_found_by_every_name_it_has(store, session):
    (session.worktree / "new").write_text("x\n")
    step = session.append(b"a\n", when=WHEN, paths=["new"])
    session.append(b"b\n", when=WHEN)
    last = find(store, "try")
    for spec in (session.id, session.id[:5], "mlxk/try", "refs/heads/mlxk/try"):
        assert find(store, spec) == last
    for spec in (step.id, step.id[:9], step.session_commit, step.session_commit[:9]):
        assert find(store, spec).step == 1
    assert not find(store, step.id).is_last


def test_what_is_not_there_is_not_found(store, session):
    for spec in ("nothing", "", "0123456789", "mlxk/no"):
        with pytest.raises(SessionNotFound):
            find(store, spec)


def test_a_prefix_of_two_sessions_is_ambiguous(store):
    for name in ("one", "two"):
        Session.create(store, b"{}", name=name, when=WHEN, session=f"same{name}").close()
    with pytest.raises(AmbiguousMatch, match="one, two"):
        find(store, "same")


def test_resuming_goes_on_with_files_and_conversation(store, session):
    (session.worktree / "new").write_text("x\n")
    session.append(b"a\n", when=WHEN, paths=["new"])
    session.close()
    with Session.open(store, "try", when=WHEN) as again:
        assert (again.record.lines(), again.recovered) == (b"a\n", None)
        assert again.append(b"b\n", when=WHEN).number == 2
        assert again.worktree.joinpath("new").read_text() == "x\n"


def test_a_session_has_one_writer(store, session):
    with pytest.raises(SessionBusy):
        Session.open(store, "try", when=WHEN)


def test_who_only_looks_whether_it_is_held_keeps_nobody_from_opening_it(store, session):
    session.close()
    probe = os.open(next((store.home / "locks").rglob("*.lock")), os.O_RDONLY)
    fcntl.flock(probe, fcntl.LOCK_SH)
    looked = Timer(0.05, os.close, [probe])
    looked.start()
    Session.open(store, "try", when=WHEN).close()
    looked.join()


def test_an_older_step_is_forked_not_resumed(store, session):
    first = session.append(b"a\n", when=WHEN)
    session.append(b"b\n", when=WHEN)
    session.close()
    with pytest.raises(StaleBranch):
        Session.open(store, first.session_commit, when=WHEN)


def test_a_fork_shares_the_past_and_goes_its_own_way(store, session, repo):
    (session.worktree / "new").write_text("x\n")
    session.append(b"a\n", when=WHEN, paths=["new"])
    session.append(b"b\n", when=WHEN)
    place = session.record.at(1)
    with Session.fork(store, place, b'{"fork":1}', name="other", when=WHEN) as fork:
        assert (fork.record.parent, fork.record.parent_step) == (session.id, 1)
        assert fork.worktree.joinpath("new").read_text() == "x\n"
        fork.append(b"c\n", when=WHEN)
        assert (fork.record.lines(), fork.record.meta()) == (b"a\nc\n", b'{"fork":1}')
        assert [s.number for s in fork.record.steps()] == [0, 1, 2]
    assert session.record.lines() == b"a\nb\n"
    assert repo.fsck() == ""


@pytest.mark.parametrize("name", ["a..b", "-x.lock", "a b", "a~1", "", "x\n"], ids=repr)
def test_a_name_that_git_refuses_is_refused(store, name):
    with pytest.raises(InvalidValue):
        Session.create(store, b"{}", name=name, when=WHEN)


def test_a_name_is_taken_once(store, session):
    with pytest.raises(AlreadyExists):
        Session.create(store, b"{}", name="try", when=WHEN)


def test_a_branch_of_the_user_may_be_in_the_way(store, repo):
    repo.git("branch", "mlxk")
    with pytest.raises(AlreadyExists):
        Session.create(store, b"{}", name="try", when=WHEN)
    assert records(store) == ()


def test_what_a_killed_step_left_becomes_a_step(store, session):
    session.append(b"a\n", when=WHEN)
    session.close()
    (session.worktree / "left").write_text("over\n")
    with Session.open(store, "try", when=WHEN) as again:
        assert [f.path for f in again.recovered.files] == ["left"]
        assert again.record.lines() == b"a\n"


def test_a_worktree_that_was_deleted_is_written_again(store, session, repo):
    (session.worktree / "new").write_text("x\n")
    session.append(b"a\n", when=WHEN, paths=["new"])
    session.close()
    repo.git("worktree", "remove", "-f", "-f", str(session.worktree))
    with Session.open(store, "try", when=WHEN) as again:
        assert again.recovered is None
        assert again.worktree.joinpath("new").read_text() == "x\n"
        assert repo.git("status", "--porcelain=v2", at=again.worktree) == ""


def test_a_worktree_whose_gitfile_was_tampered_with_is_mended(store, session, repo):
    session.close()
    (session.worktree / ".git").unlink()
    repo.git("init", "-q", at=session.worktree)
    with Session.open(store, "try", when=WHEN) as again:
        assert repo.git("rev-parse", "--abbrev-ref", "HEAD", at=again.worktree) == "mlxk/try"


def test_the_branch_is_healed_from_the_session(store, session, repo):
    (session.worktree / "new").write_text("x\n")
    step = session.append(b"a\n", when=WHEN, paths=["new"])
    session.close()
    repo.git("update-ref", "refs/heads/mlxk/try", session.record.base)
    Session.open(store, "try", when=WHEN).close()
    assert repo.git("rev-parse", "mlxk/try") == step.id


def test_commits_that_a_person_made_in_the_worktree_are_taken_in(store, session, repo):
    session.append(b"a\n", when=WHEN)
    session.close()
    (session.worktree / "mine").write_text("x\n")
    repo.git("add", "-A", at=session.worktree)
    repo.git("commit", "-q", "-m", "by hand", at=session.worktree)
    mine = repo.git("rev-parse", "mlxk/try")
    with Session.open(store, "try", when=WHEN) as again:
        assert (again.record.code, again.recovered) == (mine, None)
        (again.worktree / "mine").write_text("y\n")
        assert again.append(b"b\n", when=WHEN, paths=["mine"]).files[0].status == "modified"


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("how", ["unmoved", "one line", "merged", "rewritten", "detached"])
def test_the_distance_to_head_is_what_git_counts(store, session, repo, how, by_hand):
    for number in range(3):
        (session.worktree / "new").write_text(f"{number}\n")
        session.append(b"x\n", when=WHEN, paths=["new"])
        session.append(b"y\n", when=WHEN)
    session.close()
    if by_hand:
        repo.git("commit", "-q", "--allow-empty", "-m", "by hand", at=session.worktree)
        Session.open(store, "try", when=WHEN).close()
    match how:
        case "one line":
            repo.commit("a")
            repo.commit("b")
        case "merged":
            repo.git("checkout", "-q", "-b", "side")
            repo.commit("a")
            repo.git("checkout", "-q", "main")
            repo.commit("b")
            repo.git("merge", "-q", "--no-ff", "side")
        case "rewritten":
            repo.git("commit", "-q", "--amend", "-m", "other")
        case "detached":
            repo.git("checkout", "-q", "--orphan", "other")
            repo.commit("root")
    record = find(store, "try").record
    told = Distances(store).of(record)
    ahead = repo.git("rev-list", "--count", f"{record.base}..mlxk/try")
    behind = repo.git("rev-list", "--count", "mlxk/try..HEAD")
    assert (told.ahead, told.behind) == (int(ahead), int(behind))


def test_a_listing_knows_whether_somebody_is_owed_an_answer(store, session):
    assert session.record.rests
    session.append(b"a\n", when=WHEN, rests=False)
    assert find(store, "try").record.rests is False
    session.append(b"", when=WHEN, paths=None)
    assert find(store, "try").record.rests is False
    session.append(b"b\n", when=WHEN, rests=True, model="tiny")
    assert (find(store, "try").record.rests, find(store, "try").record.model) == (True, "tiny")
    session.undo(1, when=WHEN)
    assert find(store, "try").record.rests is False
    session.append(b"c\n", when=WHEN)
    assert find(store, "try").record.rests is None


def test_a_branch_that_was_moved_elsewhere_is_left_there(store, session, repo):
    (session.worktree / "new").write_text("x\n")
    session.append(b"a\n", when=WHEN, paths=["new"])
    elsewhere = repo.commit("elsewhere")
    repo.git("update-ref", "refs/heads/mlxk/try", elsewhere)
    with collecting() as notes:
        (session.worktree / "new").write_text("y\n")
        session.append(b"b\n", when=WHEN, paths=["new"])
    assert [n.code for n in notes] == ["branch_moved"]
    assert repo.git("rev-parse", "mlxk/try") == elsewhere


def test_a_stale_writer_is_refused(session):
    before = session.record
    session.append(b"a\n", when=WHEN)
    session.record = replace(before)
    with pytest.raises(StaleBranch):
        session.append(b"b\n", when=WHEN)


def test_a_session_survives_packed_refs(store, session, repo):
    for n in range(3):
        repo.git("pack-refs", "--all", "--prune")
        session.append(b"%d\n" % n, when=WHEN)
    repo.git("pack-refs", "--all", "--prune")
    assert find(store, session.id).step == 3
    assert [r.id for r in records(store)] == [session.id]


def test_a_damaged_conversation_names_the_last_good_step(store, session, repo):
    for n in range(3):
        session.append(b"line %d\n" % n, when=WHEN)
    session.close()
    _lose(repo, repo.git("rev-parse", f"{session.record.head}:000/01.jsonl"))
    with Store.open(repo.root, store.home) as fresh:
        with pytest.raises(HistoryCorrupt, match="step 2 is damaged; step 1 is the last good"):
            find(fresh, "try").lines()
        assert find(fresh, "try").record.at(1).lines() == b"line 0\n"


def test_a_damaged_session_does_not_hide_the_others(store, session, repo):
    Session.create(store, b"{}", name="well", when=WHEN).close()
    (session.worktree / "new").write_text("x")
    session.append(b"a\n", when=WHEN, paths=["new"])
    session.close()
    _lose(repo, session.record.head)
    with Store.open(repo.root, store.home) as fresh, collecting() as notes:
        assert [r.name for r in records(fresh)] == ["well"]
        assert [n.code for n in notes] == ["damaged_session"]
        with pytest.raises(HistoryCorrupt, match="step 1, the last good one, are on mlxk/try"):
            find(fresh, session.id)


def test_the_worktree_is_listed_clean_and_locked(session, repo):
    session.append(b"a\n", when=WHEN, paths=None)
    listed = repo.git("worktree", "list", "--porcelain")
    assert f"worktree {session.worktree}" in listed
    assert f"locked mlxk session {session.id}" in listed
    assert repo.git("status", "--porcelain=v2", "-b", at=session.worktree).splitlines()[1:] == [
        "# branch.head mlxk/try"
    ]
    repo.git("worktree", "prune")
    repo.git("gc", "-q", "--prune=now")
    assert repo.fsck() == ""


def test_the_index_is_brought_up_to_date_for_people_at_the_end(session, repo):
    (session.worktree / "new").write_text("x\n")
    session.append(b"", when=WHEN, paths=["new"])
    session.close()
    assert repo.git("status", "--porcelain=v2", at=session.worktree) == ""


def _lose(repo, object_id):
    """Unpack everything, then delete one object."""
    packs = repo.root / ".git/objects/pack"
    moved = packs.parent.parent / "moved"
    packs.rename(moved)
    packs.mkdir()
    for pack in moved.glob("*.pack"):
        import subprocess

        subprocess.run(
            ["git", "unpack-objects", "-q"], cwd=repo.root, input=pack.read_bytes(), check=True
        )
    (repo.root / ".git/objects" / object_id[:2] / object_id[2:]).unlink()
