"""Starting a session, worktree included, against `git worktree add`, alternating in one run.

    python benchmarks/history_worktree.py [FILES...]

Prints one JSON document.
"""

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from history_step import git, make_repository, now, timed

from mlxk.history.session import Session
from mlxk.history.store import Store

ROUNDS = 5


def main() -> None:
    sizes = [int(arg) for arg in sys.argv[1:]] or [1_000, 10_000, 50_000]
    results = [measured(size) for size in sizes]
    document = {"benchmark": "history_worktree", "rounds": ROUNDS, "results": results}
    print(json.dumps(document, indent=2))


def measured(files: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        repo = make_repository(home / "repo", files)
        ours: list[float] = []
        theirs: list[float] = []
        for turn in range(ROUNDS):
            os.sync()
            branch, path = f"theirs-{turn}", str(home / f"theirs-{turn}")
            add = ("worktree", "add", "-q", "-b", branch, path)
            theirs.append(timed(lambda command=add: git(repo, *command)))
            os.sync()
            ours.append(timed(lambda name=f"ours-{turn}": _start(repo, home / "home", name)))
    mine, git_s = statistics.median(ours), statistics.median(theirs)
    return {
        "files": files,
        "git_ms": round(git_s * 1e3, 1),
        "session_ms": round(mine * 1e3, 1),
        "ratio": round(mine / git_s, 3),
    }


def _start(repo: Path, home: Path, name: str) -> None:
    with Store.open(repo, home) as store:
        Session.create(store, b"{}", name=name, when=now()).close()


if __name__ == "__main__":
    main()
