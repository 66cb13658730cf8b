"""Changes side by side."""

import pytest
from git_repository import GitRepository

from mlxk.history.sides import Row, sides
from mlxk.history.store import Store


@pytest.fixture
def repo(tmp_path):
    return GitRepository(tmp_path / "repo")


def between(repo, before, after, **options):
    def commit(content):
        repo.git("rm", "-rq", "--cached", "--ignore-unmatch", ".")
        (repo.root / "a").unlink(missing_ok=True)
        if content is not None:
            repo.write("a", content)
        return repo.commit()

    old, new = commit(before), commit(after)
    with Store.open(repo.root, repo.root.parent / "home") as store:
        return sides(store, old, new, **options)


@pytest.mark.parametrize(
    ("before", "after", "rows"),
    [
        pytest.param("x\n", "y\n", [Row("changed", 1, "x", 1, "y")], id="changed"),
        pytest.param(None, "y\n", [Row("added", None, "", 1, "y")], id="added"),
        pytest.param("x\n", None, [Row("removed", 1, "x", None, "")], id="removed"),
        pytest.param(
            "x\n",
            "x\ny",
            [Row("same", 1, "x", 1, "x"), Row("added", None, "", 2, "y")],
            id="without a last line feed",
        ),
        pytest.param(b"\xff\r\n", "y\n", [Row("changed", 1, "\ufffd", 1, "y")], id="not UTF-8"),
    ],
)
def test_rows(repo, before, after, rows):
    (file,) = between(repo, before, after)
    assert file.hunks == (tuple(rows),)


def test_only_what_is_near_a_change_is_a_row(repo):
    text = [f"{n}\n" for n in range(100)]
    (file,) = between(repo, "".join(text), "".join([*text[:50], "new\n", *text[50:]]))
    assert [row.new_line for row in file.hunks[0]] == [*range(48, 55)]


def test_what_is_too_much_is_cut(repo):
    text = "".join(f"{n}\n" for n in range(100))
    (file,) = between(repo, None, text, rows=10)
    assert (len(file.hunks[0]), file.cut) == (10, True)


def test_a_binary_file_has_no_rows(repo):
    (file,) = between(repo, b"\0a", b"\0b")
    assert (file.change.binary, file.hunks) == (True, ())
