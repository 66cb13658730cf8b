"""Objects told by how they differ from others are the same objects, for git too."""

import pytest
from git_repository import WHEN, GitRepository
from hypothesis import given
from hypothesis import strategies as st
from sessions import started

from mlxk.history import deltas, packs
from mlxk.history.session import Session
from mlxk.history.store import Store

LINES = st.lists(st.sampled_from([b"a\n", b"bb\n", b"parent x\n", b"c" * 200 + b"\n", b""])).map(
    b"".join
)
KINDS = st.sampled_from([b"tree", b"commit", b"blob"])


@given(
    st.lists(st.tuples(KINDS, LINES | st.binary(max_size=300) | LINES.map(lambda d: b"x" * 40 + d)))
)
def test_what_was_made_compact_is_what_it_was(contents):
    objects = {packs.object_id(kind, data): (kind, data) for kind, data in contents}
    once = dict(deltas.compact(objects))
    assert deltas.resolved(once) == objects
    assert deltas.resolved(dict(deltas.compact(deltas.resolved(once)))) == objects


@pytest.fixture
def repo(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    for n in range(60):
        repo.write(f"src/{n:03}", f"{n}\n")
    repo.commit("first")
    return repo


def test_git_reads_a_long_session_and_keeps_it_small(repo, home):
    with started(repo, home) as session:
        for number in range(70):
            (session.worktree / "src/001").write_text(f"{number}\n")
            session.append(b"%d\n" % number, when=WHEN, paths=["src/001"])
    packed = next((repo.root / ".git/objects/pack").glob("*.idx"))
    assert "chain length = 1: " in repo.git("verify-pack", "-sv", str(packed))
    assert repo.fsck() == ""
    with (
        Store.open(repo.root, home / ".mlxk") as store,
        Session.open(store, "try", when=WHEN) as again,
    ):
        assert len(again.record.steps()) == 71
    size = packed.with_suffix(".pack").stat().st_size
    assert size < 70 * 700
    repo.git("gc", "-q", "--prune=now")
    assert repo.fsck() == ""


def test_sessions_one_after_another_leave_few_packs(repo, home):
    for number in range(40):
        with (
            Store.open(repo.root, home / ".mlxk") as store,
            Session.create(store, b"{}", name=f"n{number}", when=WHEN) as session,
        ):
            session.append(b"x\n", when=WHEN)
    assert len(list((repo.root / ".git/objects/pack").glob("*.pack"))) < 20
    assert repo.fsck() == ""
    repo.git("gc", "-q", "--prune=now")
    with Store.open(repo.root, home / ".mlxk") as store, started(repo, home):
        assert store.refs.read("refs/heads/mlxk/n0")
