"""Starting a session, worktree included, against `git worktree add`, alternating in one run:
first with a new worktree, then with one from the pool.

Prints one JSON document.
"""

import json
import os
import statistics
import tempfile
from pathlib import Path

from history_step import git, make_repository, now, sizes_asked_for, timed

from mlxk.history import pool, trash
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
        theirs: list[float] = []
        pooled: list[float] = []
        taken: list[float] = []
        for turn in range(ROUNDS):
            os.sync()
            branch, path = f"theirs-{turn}", str(home / f"theirs-{turn}")
            add = ("worktree", "add", "-q", "-b", branch, path)
            theirs.append(timed(lambda command=add: git(repo, *command)))
            os.sync()
            ours.append(timed(lambda name=f"ours-{turn}": _start(repo, home / "home", name)))
            _put_away(repo, home / "home", f"ours-{turn}")
            os.sync()
            pooled.append(timed(lambda name=f"again-{turn}": _start(repo, home / "home", name)))
            _put_away(repo, home / "home", f"again-{turn}")
            os.sync()
            taken.append(timed(lambda name=f"taken-{turn}": _take(repo, home / "home", name)))
    mine, git_s = statistics.median(ours), statistics.median(theirs)
    again, worktree = statistics.median(pooled), statistics.median(taken)
    return {
        "files": files,
        "git_ms": round(git_s * 1e3, 1),
        "session_ms": round(mine * 1e3, 1),
        "ratio": round(mine / git_s, 3),
        "pooled_session_ms": round(again * 1e3, 1),
        "pooled_session_ratio": round(again / git_s, 3),
        "pooled_worktree_ms": round(worktree * 1e3, 1),
        "pooled_worktree_ratio": round(worktree / git_s, 3),
    }


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
