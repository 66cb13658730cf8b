"""In any state of a repository a run works or says why not, and what is the user's stays."""

import pytest
from git_repository import WHEN, GitRepository
from sessions import started

from mlxk.contract.errors import (
    CorruptState,
    DirtyMerge,
    NotARepository,
    RuntimeIncompatible,
    UnsafePath,
)
from mlxk.contract.notes import collecting
from mlxk.history import diff, index
from mlxk.history.record import find
from mlxk.history.session import Session
from mlxk.history.store import Store


def plain(root):
    repo = GitRepository(root)
    repo.write("README", "hello\n")
    repo.write("src/a.py", "one\ntwo\n")
    repo.write("run.sh", "#!/bin/sh\n", mode=0o755)
    (root / "link").symlink_to("README")
    repo.write(".gitignore", "*.log\nbuild/\n")
    repo.commit("first")
    return repo


def staged(root):
    repo = plain(root)
    repo.write("src/a.py", "staged\n")
    repo.write("new.py", "new\n")
    repo.git("rm", "-q", "--cached", "run.sh")
    repo.git("add", "src/a.py", "new.py")
    return repo


def unstaged(root):
    repo = plain(root)
    repo.write("src/a.py", "unstaged\n")
    (root / "README").unlink()
    (root / "run.sh").chmod(0o644)
    return repo


def untracked(root):
    repo = plain(root)
    repo.write("deep/er/new.py", "new\n")
    repo.write("x.log", "ignored\n")
    repo.write("build/out", "ignored\n")
    return repo


def staged_then_changed(root):
    repo = staged(root)
    repo.write("src/a.py", "and changed again\n")
    repo.write("new.py", "and changed again\n")
    return repo


def intent_to_add(root):
    repo = plain(root)
    repo.write("later.py", "later\n")
    repo.git("add", "-N", "later.py")
    return repo


def detached(root):
    repo = plain(root)
    repo.commit("second")
    repo.git("checkout", "-q", "--detach", "HEAD~1")
    return repo


def unborn(root):
    repo = GitRepository(root)
    repo.write("a.py", "new\n")
    return repo


def unborn_and_empty(root):
    return GitRepository(root)


def shallow(root):
    origin = plain(root.parent / "origin")
    for n in range(3):
        origin.commit(f"more {n}")
    origin.git("clone", "-q", "--depth=1", f"file://{origin.root}", str(root))
    return GitRepository(root, "existing")


def linked(root):
    main = plain(root.parent / "main")
    main.git("worktree", "add", "-q", "-b", "side", str(root))
    repo = GitRepository(root, "existing")
    repo.write("README", "changed in the linked worktree\n")
    return repo


def submodule(root):
    inner = plain(root.parent / "inner")
    repo = plain(root)
    repo.git("submodule", "--quiet", "add", str(inner.root), "sub")
    repo.commit("with a submodule")
    return repo


def inside_submodule(root):
    repo = submodule(root.parent / "outer")
    repo.root.joinpath("sub/README").write_text("changed\n")
    repo.root.rename(root)
    inner = GitRepository(root / "sub", "existing")
    inner.git("status")
    return inner


def sparse(root):
    repo = plain(root)
    repo.git("sparse-checkout", "set", "--no-cone", "--no-sparse-index", "/src/")
    return repo


def assumed_unchanged(root):
    repo = plain(root)
    repo.git("update-index", "--assume-unchanged", "README")
    repo.write("README", "git does not look here\n")
    return repo


def crlf(root):
    repo = GitRepository(root)
    repo.git("config", "core.autocrlf", "true")
    repo.write("dos.txt", "one\r\ntwo\r\n")
    repo.write("bin", b"\0\r\n")
    repo.commit("first")
    repo.write("dos.txt", "one\r\ntwo\r\nthree\r\n")
    repo.write("more.txt", "new\r\n")
    return repo


def lfs(root):
    """A filter program as git-lfs is one: what is stored is not what is on the disk."""
    repo = GitRepository(root)
    repo.git("config", "filter.lfs.clean", "sed s/^/pointer:/")
    repo.git("config", "filter.lfs.smudge", "sed s/^pointer://")
    repo.git("config", "filter.lfs.required", "true")
    repo.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    repo.write("big.bin", "real content\n")
    repo.write("a.txt", "one\n")
    repo.commit("first")
    repo.write("a.txt", "changed\n")
    return repo


def case_clashing(root):
    repo = plain(root)
    for name in ("Makefile", "makefile", "Docs/a", "docs/a"):
        repo.write(name, f"{name}\n")
    if not (root / "Makefile").samefile(root / "makefile"):
        repo.commit("names that differ by case only")
        repo.write("makefile", "changed\n")
    return repo


def index_version_4(root):
    repo = untracked(root)
    repo.git("update-index", "--index-version", "4")
    return repo


def packed(root):
    repo = unstaged(root)
    repo.git("gc", "-q")
    return repo


def stashed_and_hooked(root):
    repo = unstaged(root)
    repo.git("stash", "-q")
    repo.git("config", "commit.gpgsign", "true")
    repo.git("config", "user.signingkey", "nobody")
    for hook in ("pre-commit", "commit-msg", "post-commit", "reference-transaction"):
        repo.write(f".git/hooks/{hook}", "#!/bin/sh\ntouch hooked\nexit 1\n", mode=0o755)
    return repo


def odd_names(root):
    repo = plain(root)
    repo.write("a name with spaces", "x")
    repo.write("tab\tand\nnewline", "x")
    repo.write("ünï/cødé", "x")
    repo.write("latin-\udce9", "x")
    repo.write("a/b", "folder a sorts after a.b\n")
    repo.write("a.b", "x")
    return repo


KINDS = [
    plain, staged, unstaged, untracked, staged_then_changed, intent_to_add, detached, unborn,
    unborn_and_empty, shallow, linked, submodule, inside_submodule, sparse, assumed_unchanged,
    crlf, lfs, case_clashing, index_version_4, packed, stashed_and_hooked, odd_names,
]  # fmt: skip


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def repo(request, tmp_path, home):
    return request.param(tmp_path / "repo")


def test_nothing_of_the_user_changes(repo, home):
    before = repo.footprint()
    with started(repo, home) as session:
        session.append(b"a\n", when=WHEN)
        (session.worktree / "hello.txt").write_text("Hello\n")
        session.append(b"b\n", when=WHEN, paths=["hello.txt"])
        (session.worktree / "more.txt").write_text("More\n")
        session.append(b"c\n", when=WHEN, paths=None)
    with Store.open(repo.root, home / ".mlxk") as store:
        Session.open(store, "try", when=WHEN).close()
        place = find(store, "try")
        Session.fork(store, place, b"{}", name="fork", when=WHEN).close()
        diff.patch(store, place.record.base, place.code)
    assert repo.footprint() == before
    assert repo.fsck() == ""


def test_the_start_is_the_tree_that_git_would_add(repo, store):
    wanted = repo.tree_git_would_add()
    with Session.create(store, b"{}", name="try", when=WHEN) as session:
        assert repo.tree_of(session.record.base) == wanted


def test_a_clean_start_is_head(repo, store):
    with Session.create(store, b"{}", name="try", when=WHEN, clean=True) as session:
        head = store.head()
        assert (session.record.base == head) if head else not repo.tree_files(session.record.base)


def test_the_worktree_is_what_git_would_check_out(repo, store):
    with Session.create(store, b"{}", name="try", when=WHEN) as session:
        assert session.append(b"", when=WHEN, paths=None).files == ()
        worktree = session.worktree
    assert repo.git("status", "--porcelain=v2", at=worktree) == ""
    repo.git("update-index", "--really-refresh", "-q", at=worktree, check=False)
    assert repo.git("diff-index", "HEAD", at=worktree) == ""


def test_a_later_run_finds_nothing_to_recover(repo, store):
    Session.create(store, b"{}", name="try", when=WHEN).close()
    with Session.open(store, "try", when=WHEN) as session:
        assert session.recovered is None


def test_a_bare_repository_works(tmp_path, home):
    origin = plain(tmp_path / "origin")
    origin.git("clone", "-q", "--bare", str(origin.root), str(tmp_path / "bare.git"))
    bare = GitRepository(tmp_path / "bare.git", "existing")
    with started(bare, home) as session:
        (session.worktree / "src/a.py").write_text("changed\n")
        session.append(b"", when=WHEN, paths=None)
    assert bare.git("show", "mlxk/try:src/a.py") == "changed"
    assert bare.fsck() == ""


def test_a_merge_with_conflicts_is_refused_and_clean_is_the_way_out(tmp_path, home):
    repo = plain(tmp_path / "repo")
    repo.git("checkout", "-q", "-b", "side")
    repo.write("README", "side\n")
    repo.commit("side")
    repo.git("checkout", "-q", "main")
    repo.write("README", "main\n")
    repo.commit("main")
    repo.git("merge", "side", check=False)
    before = repo.footprint()
    with Store.open(repo.root, home / ".mlxk") as store:
        with pytest.raises(DirtyMerge, match="README"):
            Session.create(store, b"{}", name="try", when=WHEN)
        with Session.create(store, b"{}", name="try", when=WHEN, clean=True) as session:
            assert (session.worktree / "README").read_text() == "main\n"
    assert repo.footprint() == before


def test_no_repository_is_an_error_that_says_what_to_type(tmp_path, home):
    with pytest.raises(NotARepository) as caught:
        Store.open(tmp_path, home)
    assert caught.value.hint.startswith("git init, or mlxk agent --no-git")
    assert list(tmp_path.iterdir()) == [home]


@pytest.mark.parametrize(
    "setting",
    [("core.repositoryformatversion", "1", "extensions.partialClone", "origin"),
     ("core.repositoryformatversion", "1", "extensions.refStorage", "reftable"),
     ("core.repositoryformatversion", "1", "extensions.objectFormat", "sha256"),
     ("core.repositoryformatversion", "9", "core.x", "y")],
    ids=["partial clone", "reftable", "sha256", "future"],
)  # fmt: skip
def test_a_format_that_we_cannot_write_is_refused(tmp_path, home, setting):
    repo = plain(tmp_path / "repo")
    repo.git("config", setting[0], setting[1])
    config = repo.root / ".git/config"
    section, _, key = setting[2].partition(".")
    config.write_text(config.read_text() + f"[{section}]\n\t{key} = {setting[3]}\n")
    with pytest.raises(RuntimeIncompatible):
        Store.open(repo.root, home / ".mlxk")


@pytest.mark.parametrize(
    "make",
    [("update-index", "--split-index"),
     ("sparse-checkout", "set", "--cone", "--sparse-index", "src")],
    ids=["split", "sparse"],
)  # fmt: skip
def test_an_index_that_we_cannot_read_is_refused(tmp_path, home, make):
    repo = plain(tmp_path / "repo")
    repo.write("other/deep/file")
    repo.commit("second")
    repo.git(*make)
    with Store.open(repo.root, home / ".mlxk") as store, pytest.raises(RuntimeIncompatible):
        Session.create(store, b"{}", name="try", when=WHEN)


@pytest.mark.parametrize("version", ["2", "4"])
def test_an_index_that_was_cut_short_is_an_error_at_any_length(tmp_path, home, version):
    repo = plain(tmp_path / "repo")
    repo.git("update-index", "--index-version", version)
    file = repo.root / ".git/index"
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(CorruptState, match="damaged"):
            index.read(file)


def test_an_index_without_a_checksum_is_read(tmp_path, home):
    repo = plain(tmp_path / "repo")
    repo.git("config", "index.skipHash", "true")
    repo.git("update-index", "--force-write-index")
    with started(repo, home) as session:
        assert session.record.base == repo.git("rev-parse", "HEAD")


def test_a_changed_file_that_needs_a_filter_program_is_refused(tmp_path, home):
    repo = plain(tmp_path / "repo")
    repo.write(".gitattributes", "*.bin filter=lfs\n")
    repo.write("big.bin", "version pointer\n")
    repo.commit("second")
    repo.write("big.bin", "real content\n")
    with Store.open(repo.root, home / ".mlxk") as store:
        with pytest.raises(UnsafePath, match="'lfs'"):
            Session.create(store, b"{}", name="try", when=WHEN)
        Session.create(store, b"{}", name="try", when=WHEN, clean=True).close()


def test_submodules_and_repositories_inside_are_mentioned(tmp_path, home):
    repo = submodule(tmp_path / "repo")
    plain(repo.root / "nested")
    with Store.open(repo.root, home / ".mlxk") as store, collecting() as notes:
        Session.create(store, b"{}", name="try", when=WHEN).close()
    assert sorted(n.code for n in notes) == ["nested_repository", "submodules"]


def test_what_is_sparse_for_the_user_is_sparse_for_the_agent(tmp_path, home):
    repo = sparse(tmp_path / "repo")
    with started(repo, home) as session:
        assert not (session.worktree / "README").exists()
        (session.worktree / "src/a.py").write_text("changed\n")
        session.append(b"", when=WHEN, paths=None)
    assert repo.git("show", "mlxk/try:README") == "hello"
