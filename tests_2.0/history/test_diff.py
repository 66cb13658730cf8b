import random

import pytest
from git_repository import GitRepository

from mlxk.history import diff, packs
from mlxk.history.diff import Divergence


@pytest.fixture
def repo(tmp_path, home):
    return GitRepository(tmp_path / "repo")


def two_commits(repo):
    repo.write("same", "x\n")
    repo.write("edited", "one\ntwo\nthree\n")
    repo.write("sub/gone", "bye\n")
    repo.write("unended", "no newline")
    repo.write("bin", b"\0\1\2")
    repo.write("becomes/folder", "x\n")
    repo.write("mode", "x\n")
    old = repo.commit("old")
    repo.write("edited", "zero\none\n2\nthree\n")
    (repo.root / "sub/gone").unlink()
    repo.write("unended", "no newline\nat all")
    repo.write("bin", b"\0\1\3")
    (repo.root / "becomes/folder").unlink()
    (repo.root / "becomes").rmdir()
    repo.write("becomes", "a file\n")
    (repo.root / "mode").chmod(0o755)
    return old, repo.commit("new")


def test_changes_are_those_of_git_numstat(repo, store):
    old, new = two_commits(repo)
    told = [
        f"{'-' if c.binary else c.additions}\t{'-' if c.binary else c.deletions}\t{c.path}"
        for c in diff.changes(store, old, new)
    ]
    assert told == repo.git("diff", "--numstat", "--no-renames", old, new).splitlines()


def test_the_statuses_are_those_of_git(repo, store):
    old, new = two_commits(repo)
    told = [f"{c.status[0].upper()}\t{c.path}" for c in diff.changes(store, old, new)]
    assert told == repo.git("diff", "--name-status", "--no-renames", old, new).splitlines()


def test_from_nothing_every_file_is_added(repo, store):
    repo.write("a", "1\n2\n")
    assert [(c.status, c.additions) for c in diff.changes(store, None, repo.commit())] == [
        ("added", 2)
    ]


def test_git_applies_the_patch(repo, store):
    repo.write("a", "one\ntwo\nthree\n")
    repo.write("b", "bye\n")
    old = repo.commit("old")
    repo.write("a", "one\n2\nthree")
    repo.write("c/new", "new\n")
    (repo.root / "b").unlink()
    new = repo.commit("new")
    repo.git("checkout", "-q", old)
    patch = repo.root.parent / "patch"
    patch.write_bytes(diff.patch(store, old, new))
    repo.git("apply", "--index", str(patch))
    assert repo.git("write-tree") == repo.tree_of(new)


def test_line_counts_are_those_of_a_shortest_edit(repo, store):
    chance = random.Random(1)
    for _ in range(50):
        for name in ("a", "b"):
            lines = chance.choices("abcdef", k=chance.randrange(30))
            repo.write(name, "".join(f"{line}\n" for line in lines))
        told = repo.git("diff", "--no-index", "--numstat", "--minimal", "a", "b", check=False)
        wanted = tuple(int(n) for n in told.split("\t")[:2]) if told else (0, 0)
        texts = [(repo.root / name).read_bytes() for name in ("a", "b")]
        assert diff.line_counts(*texts) == wanted


def test_two_very_different_files_are_counted_in_reasonable_time():
    old = b"".join(b"%d\n" % n for n in range(0, 40_000, 2))
    new = b"".join(b"%d\n" % n for n in range(0, 40_000, 3))
    assert diff.line_counts(old, new) == (6667, 13333)


def test_divergence_counts_commits_of_either_side(repo, store):
    base = repo.commit("base")
    ours = [repo.commit(f"ours {n}") for n in range(3)][-1]
    repo.git("checkout", "-q", "-b", "side", base)
    theirs = repo.commit("theirs")
    assert diff.divergence(store, ours, theirs) == Divergence(ahead=3, behind=1)
    assert diff.divergence(store, ours, ours) == Divergence(ahead=0, behind=0)
    assert diff.is_ancestor(store, base, ours)
    assert not diff.is_ancestor(store, theirs, ours)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 2047, 2048, 300_000], ids=str)
def test_git_reads_our_packs(repo, size):
    objects = {}
    for n in range(40):
        data = b"%d" % n + b"x" * size
        objects[packs.object_id(b"blob", data)] = packs.entry(b"blob", data)
    pack = packs.build(objects.items())
    base = repo.root / ".git/objects/pack" / pack.name
    base.with_suffix(".pack").write_bytes(pack.pack)
    base.with_suffix(".idx").write_bytes(pack.index)
    repo.git("verify-pack", str(base.with_suffix(".idx")))
    assert dict(packs.entries(pack)) == objects
