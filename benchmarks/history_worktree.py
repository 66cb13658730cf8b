"""A worktree against `git worktree add`, alternating in one run: a new one and one from the pool,
alone and as part of a session's start, which also looks for what the user has not committed.

A file system where very many files were just deleted makes new ones slowly: use a fresh one.

Prints one JSON document.
"""

import json
import os
import statistics
import tempfile
from pathlib import Path

from history_step import git, make_repository, now, sizes_asked_for, timed

from mlxk.history import pool, trash, worktree
from mlxk.history.session import Session
from mlxk.history.store import Store

ROUNDS = 5


def main() -> None:
    sizes = sizes_asked_for(__doc__)
    results = [measured(size) for size in sizes]
    document = {"benchmark": "history_worktree", "rounds": ROUNDS, "results": results}
    print(json.dumps(document, indent=2))


def measured(files: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        repo = make_repository(home / "repo", files)
        ours: list[float] = []
        alone: list[float] = []
        theirs: list[float] = []
        pooled: list[float] = []
        taken: list[float] = []
        for turn in range(ROUNDS):
            os.sync()
            branch, path = f"theirs-{turn}", str(home / f"theirs-{turn}")
            add = ("worktree", "add", "-q", "-b", branch, path)
            theirs.append(timed(lambda command=add: git(repo, *command)))
            os.sync()
            alone.append(timed(lambda name=f"alone-{turn}": _make(repo, home / "home", name)))
            os.sync()
            ours.append(timed(lambda name=f"ours-{turn}": _start(repo, home / "home", name)))
            _put_away(repo, home / "home", f"ours-{turn}")
            os.sync()
            pooled.append(timed(lambda name=f"again-{turn}": _start(repo, home / "home", name)))
            _put_away(repo, home / "home", f"again-{turn}")
            os.sync()
            taken.append(timed(lambda name=f"taken-{turn}": _take(repo, home / "home", name)))
    mine, git_s = statistics.median(ours), statistics.median(theirs)
    again, taken_s = statistics.median(pooled), statistics.median(taken)
    made = statistics.median(alone)
    return {
        "files": files,
        "git_ms": round(git_s * 1e3, 1),
        "worktree_ms": round(made * 1e3, 1),
        "worktree_ratio": round(made / git_s, 3),
        "session_ms": round(mine * 1e3, 1),
        "session_ratio": round(mine / git_s, 3),
        "pooled_session_ms": round(again * 1e3, 1),
        "pooled_session_ratio": round(again / git_s, 3),
        "pooled_worktree_ms": round(taken_s * 1e3, 1),
        "pooled_worktree_ratio": round(taken_s / git_s, 3),
    }


def _make(repo: Path, home: Path, name: str) -> None:
    """The folder with its registration and index, as `git worktree add` makes one."""
    with Store.open(repo, home) as store:
        tree = store.tree_of(store.head() or "")
        worktree.create(store, name, f"mlxk/{name}", tree, known=worktree.users_files(store))


def _start(repo: Path, home: Path, name: str) -> None:
    with Store.open(repo, home) as store:
        Session.create(store, b"{}", name=name, when=now()).close()


def _put_away(repo: Path, home: Path, name: str) -> None:
    """After a change, as sessions end; the worktree goes to the pool."""
    with Store.open(repo, home) as store:
        with Session.open(store, name, when=now()) as session:
            (session.worktree / "new.txt").write_text("x\n")
            session.append(b"", when=now(), paths=["new.txt"])
        trash.discard(store, session.record, now())


def _take(repo: Path, home: Path, name: str) -> None:
    """The folder alone, as `git worktree add` makes one; without the look at the user's files."""
    with Store.open(repo, home) as store:
        tree = store.tree_of(store.head() or "")
        assert pool.take(store, home / name, tree) is not None


if __name__ == "__main__":
    main()
