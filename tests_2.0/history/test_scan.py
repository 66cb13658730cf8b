"""What a scan of a worktree finds is what `git add -A` would find, edit after edit."""

import os
import random
import shutil

import pytest
from git_repository import WHEN, GitRepository
from sessions import started

from mlxk.contract.errors import CorruptState, UnsafePath
from mlxk.contract.notes import collecting
from mlxk.history.session import Session


@pytest.fixture
def repo(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    for name in ("a", "b/c", "b/d/e", "f.py", "g/h", "run.sh"):
        repo.write(name, f"{name}\n")
    repo.commit("first")
    return repo


@pytest.fixture
def session(repo, home):
    with started(repo, home) as session:
        yield session


def scanned(repo, session):
    """The step's tree, after git agreed with it."""
    step = session.append(b"", when=WHEN, paths=None)
    worktree = GitRepository(session.worktree, "existing")
    assert repo.tree_of(step.id) == worktree.tree_git_would_add()
    return [f"{f.status[0].upper()} {f.path}" for f in step.files]


def edit_file(root):
    (root / "a").write_text("other\n")


def edit_without_changing_size(root):
    (root / "a").write_text("A\n")


def touch(root):
    (root / "a").touch()


def make_executable(root):
    (root / "run.sh").chmod(0o755)


def delete_folder(root):
    shutil.rmtree(root / "b")


def file_to_folder(root):
    (root / "a").unlink()
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/c").write_text("x")


def folder_to_file(root):
    shutil.rmtree(root / "b")
    (root / "b").write_text("x")


def file_to_link(root):
    (root / "a").unlink()
    (root / "a").symlink_to("nowhere")


def folder_to_link(root):
    shutil.rmtree(root / "g")
    (root / "g").symlink_to("b")


def rename_folder(root):
    (root / "b").rename(root / "z")


def empty_folders(root):
    (root / "empty/empty").mkdir(parents=True)


def fifo(root):
    os.mkfifo(root / "pipe")


def new_ignore_rules(root):
    (root / ".gitignore").write_text("*.tmp\n/out/\n")
    (root / "x.tmp").write_text("x")
    (root / "out").mkdir()
    (root / "out/y").write_text("y")
    (root / "b/out").mkdir()
    (root / "b/out/y").write_text("y")


def rules_that_are_folders(root):
    (root / ".gitignore/x").mkdir(parents=True)
    (root / ".gitattributes").mkdir()
    (root / "new").write_text("x")


CASES = [
    (rules_that_are_folders, ["A new"]),
    (edit_file, ["M a"]),
    (edit_without_changing_size, ["M a"]),
    (touch, []),
    (make_executable, ["M run.sh"]),
    (delete_folder, ["D b/c", "D b/d/e"]),
    (file_to_folder, ["D a", "A a/b/c"]),
    (folder_to_file, ["A b", "D b/c", "D b/d/e"]),
    (file_to_link, ["T a"]),
    (folder_to_link, ["A g", "D g/h"]),
    (rename_folder, ["D b/c", "D b/d/e", "A z/c", "A z/d/e"]),
    (empty_folders, []),
    (fifo, []),
    (new_ignore_rules, ["A .gitignore", "A b/out/y"]),
]


@pytest.mark.parametrize(("change", "found"), CASES, ids=[c.__name__ for c, _ in CASES])
def test_a_change_is_found(repo, session, change, found):
    change(session.worktree)
    assert scanned(repo, session) == found
    assert scanned(repo, session) == []


def test_ignore_rules_that_are_lifted_show_what_they_hid(repo, session):
    new_ignore_rules(session.worktree)
    scanned(repo, session)
    (session.worktree / ".gitignore").unlink()
    assert scanned(repo, session) == ["D .gitignore", "A out/y", "A x.tmp"]


def test_a_file_that_appears_in_a_folder_known_to_be_empty_is_found(repo, session):
    empty_folders(session.worktree)
    scanned(repo, session)
    (session.worktree / "empty/empty/x").write_text("x")
    assert scanned(repo, session) == ["A empty/empty/x"]


def test_two_edits_within_one_tick_of_the_clock_are_both_found(repo, session):
    for n in range(20):
        (session.worktree / "a").write_text(f"{n % 10}\n")
        assert scanned(repo, session) == ["M a"]


def test_a_repository_that_a_tool_made_is_left_out_and_mentioned(repo, session):
    GitRepository(session.worktree / "cloned").commit("x")
    with collecting() as notes:
        assert session.append(b"", when=WHEN, paths=None).files == ()
    assert [n.code for n in notes] == ["nested_repository"]


@pytest.mark.parametrize("name", ["git~1", ".GIT", ".git ", ".git.", ".g\u200cit", "GIT~1"])
def test_a_name_that_git_refuses_is_left_out_and_mentioned(repo, session, name):
    (session.worktree / "sub").mkdir()
    (session.worktree / "sub" / name).write_text("x")
    (session.worktree / "sub/digit~1").write_text("x")
    with collecting() as notes:
        step = session.append(b"", when=WHEN, paths=None)
    assert [f.path for f in step.files] == ["sub/digit~1"]
    assert [n.code for n in notes] == ["reserved_name"]
    assert repo.fsck() == ""


def test_a_filter_that_a_command_asks_for_is_refused_with_the_place_to_undo_it(repo, session):
    (session.worktree / ".gitattributes").write_text("*.bin filter=lfs\n")
    (session.worktree / "x.bin").write_text("x")
    with pytest.raises(UnsafePath) as caught:
        session.append(b"", when=WHEN, paths=None)
    assert str(session.worktree) in caught.value.hint


@pytest.mark.parametrize(
    "paths", [None, ["a", ".gitattributes", "x.bin", "z"]], ids=["scan", "look"]
)
def test_what_a_look_that_failed_had_found_or_left_out_is_not_lost(repo, session, paths):
    session.append(b"", when=WHEN, paths=None)
    for name in ("a", "x.bin", "z"):
        (session.worktree / name).write_text("x")
    (session.worktree / ".gitattributes").write_text("*.bin filter=lfs\n")
    with pytest.raises(UnsafePath):
        session.append(b"", when=WHEN, paths=paths)
    (session.worktree / "x.bin").unlink()
    found = session.append(b"", when=WHEN, paths=paths and ["x.bin"]).files
    assert {".gitattributes", "z"} <= {f.path for f in found}
    assert session.append(b"", when=WHEN, paths=None).files == ()
    assert repo.git("show", "mlxk/try:z") == "x"


def test_rules_behind_a_link_are_none_as_in_git(repo, session):
    (session.worktree / ".gitignore").unlink(missing_ok=True)
    (session.worktree / ".gitignore").symlink_to("rules")
    (session.worktree / "rules").write_text("hidden\n")
    (session.worktree / "hidden").write_text("x\n")
    found = [f.path for f in session.append(b"", when=WHEN, paths=None).files]
    assert {".gitignore", "hidden", "rules"} <= {*found}


def test_what_may_not_be_read_is_left_out_until_it_may(repo, session):
    closed = [session.worktree / name for name in ("src/closed", "private")]
    closed[0].parent.mkdir(exist_ok=True)
    closed[0].write_text("x\n")
    closed[1].mkdir()
    (closed[1] / "inner").write_text("x\n")
    (session.worktree / "open").write_text("x\n")
    for path in closed:
        path.chmod(0)
    if os.access(closed[0], os.R_OK):
        pytest.skip("this user may read everything")
    with collecting() as notes:
        step = session.append(b"", when=WHEN, paths=None)
    assert [f.path for f in step.files] == ["open"]
    assert [n.code for n in notes] == ["unreadable"] * 2
    for path in closed:
        path.chmod(0o700)
    step = session.append(b"", when=WHEN, paths=None)
    assert [f.path for f in step.files] == ["private/inner", "src/closed"]


def test_a_worktree_that_vanished_is_an_error(session):
    shutil.rmtree(session.worktree)
    with pytest.raises(CorruptState):
        session.append(b"", when=WHEN, paths=None)


RULES = {
    "precedence": {".gitignore": "*.a\n", "b/.gitignore": "!*.a\n"},
    "negated": {".gitignore": "*.a\n!keep.a\n"},
    "below an excluded folder": {".gitignore": "b/\n!b/keep.a\n"},
    "contents": {".gitignore": "b/*\n!b/keep.a\n"},
    "anchored": {".gitignore": "/keep.a\n"},
    "middle": {".gitignore": "b/**/x.a\n"},
    "stars": {".gitignore": "**/d\n"},
    "folder only": {".gitignore": "x.a/\nd/\n"},
    "escaped": {".gitignore": "\\#odd\n\\!odd\n\\*.a\n"},
    "classes": {".gitignore": "[a-k]*.a\n?.b\n"},
    "spaces": {".gitignore": "x.a \nsp\\ \n"},
    "comments": {".gitignore": "# x.a\n\n   \nkeep.a\r\n"},
    "all but": {".gitignore": "/*\n!/b\n/b/*\n!/b/d\n"},
    "itself": {".gitignore": ".gitignore\n*.a\n"},
    "info/exclude": {".git/info/exclude": "*.a\n", ".gitignore": "!keep.a\n"},
}
FILES = ["keep.a", "x.a", "y.b", "b/keep.a", "b/x.a", "b/d/x.a", "b/d/e/x.a", "#odd", "!odd",
         "*.a", "sp ", "d", "c/d/x", "k.a", "z.a"]  # fmt: skip


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_ignore_rules_mean_what_they_mean_to_git(tmp_path, home, rules):
    repo = GitRepository(tmp_path / "repo")
    for name, text in ({f: "x" for f in FILES} | rules).items():
        repo.write(name, text)
    with started(repo, home) as session:
        assert repo.tree_of(session.record.base) == repo.tree_git_would_add()


def test_the_users_own_ignore_file_counts_least(tmp_path, home):
    (home / ".config/git").mkdir(parents=True)
    (home / ".config/git/ignore").write_text("*.a\n!keep.a\n")
    repo = GitRepository(tmp_path / "repo")
    for name in FILES:
        repo.write(name, "x")
    repo.write(".git/info/exclude", "keep.a\n!x.a\n")
    with started(repo, home) as session:
        assert repo.tree_of(session.record.base) == repo.tree_git_would_add()


ATTRIBUTES = {
    "text": "*.txt text\n",
    "auto": "* text=auto\n",
    "binary": "* text=auto\n*.txt binary\n",
    "eol lf": "*.txt eol=lf\n",
    "eol crlf": "*.txt text eol=crlf\n",
    "auto crlf": "* text=auto eol=crlf\n",
    "unset": "* text=auto\n*.txt -text\n",
    "deeper": "* -text\n",
    "old name": "*.txt crlf=input\n",
}


@pytest.mark.parametrize("autocrlf", ["false", "input", "true"])
@pytest.mark.parametrize("attributes", ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_line_endings_are_stored_and_written_as_git_would(tmp_path, home, attributes, autocrlf):
    repo = GitRepository(tmp_path / "repo")
    repo.write("was-crlf.txt", "a\r\nb\r\n")
    repo.commit("with CRLF inside")
    repo.git("config", "core.autocrlf", autocrlf)
    repo.write(".gitattributes", attributes)
    repo.write("sub/.gitattributes", "*.txt text=auto\n")
    for name in ("crlf.txt", "sub/crlf.txt", "was-crlf.txt"):
        repo.write(name, "one\r\ntwo\r\nthree\r\n")
    repo.write("lf.txt", "one\ntwo\n")
    repo.write("mixed.txt", "one\r\ntwo\n")
    repo.write("image.txt", b"\0\r\n\n")
    with started(repo, home) as session:
        assert repo.tree_of(session.record.base) == repo.tree_git_would_add()
        repo.git("worktree", "add", "-q", "--detach", "../theirs", session.record.base)
        store = session.record.store
        store.root = None  # so that every file is written out of the store
        place = session.record.at(0)
        with Session.fork(store, place, b"{}", name="fork", when=WHEN) as fork:
            assert _contents(fork.worktree) == _contents(repo.root.parent / "theirs")


def test_random_edits_are_found_one_after_another(repo, session):
    chance = random.Random(7)
    for _ in range(40):
        for _ in range(chance.randrange(1, 5)):
            _random_edit(session.worktree, chance)
        scanned(repo, session)


def _random_edit(root, chance):
    path = root / "/".join(chance.choices("abcd", k=chance.randrange(1, 4)))
    for parent in [p for p in reversed(path.parents) if root in p.parents]:
        if parent.is_symlink() or parent.is_file():
            parent.unlink()
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    match chance.randrange(4):
        case 0:
            path.symlink_to(chance.choice("abc"))
        case 1:
            path.mkdir()
        case 2:
            pass
        case _:
            path.write_text(str(chance.random()))
            path.chmod(chance.choice((0o644, 0o755)))


def _contents(root):
    files = (p for p in root.rglob("*") if p.is_file() and ".git" not in p.parts)
    return {str(p.relative_to(root)): p.read_bytes() for p in files}
