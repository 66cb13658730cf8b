"""One agent step's durable commit against `git add -A && git commit`, interleaved in one run.

    python benchmarks/history_step.py [FILES...]

Both sides record the same edit of three known files. Ours also stores the conversation and syncs
it to disk; git runs with its defaults, which sync less. Prints one JSON document.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from mlxk.history.session import Session
from mlxk.history.store import Store

ROUNDS = 15
LINES = b'{"role":"assistant","content":"%s"}\n' % (b"x" * 600)


def main() -> None:
    sizes = [int(arg) for arg in sys.argv[1:]] or [1_000, 10_000, 50_000]
    results = [measured(size) for size in sizes]
    print(json.dumps({"benchmark": "history_step", "rounds": ROUNDS, "results": results}, indent=2))


def measured(files: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        repo = _repository(home / "repo", files)
        _git(home, "clone", "-q", "--no-local", str(repo), "theirs")
        theirs = home / "theirs"
        store = Store.open(repo, home / "home")
        began = time.perf_counter()
        with Session.create(store, b"{}", name="bench", when=_now()) as session:
            created = time.perf_counter() - began
            os.sync()  # what building the repositories left behind belongs to neither side
            times = _interleaved(session, theirs, files)
    ours, git, scan = (statistics.median(t) for t in times)
    return {
        "files": files,
        "create_ms": round(created * 1e3, 1),
        "git_ms": round(git * 1e3, 2),
        "known_paths_ms": round(ours * 1e3, 2),
        "full_scan_ms": round(scan * 1e3, 2),
        "known_paths_ratio": round(ours / git, 3),
        "full_scan_ratio": round(scan / git, 3),
    }


def _interleaved(
    session: Session, theirs: Path, files: int
) -> tuple[list[float], list[float], list[float]]:
    ours: list[float] = []
    git: list[float] = []
    scan: list[float] = []
    for turn in range(ROUNDS + 2):
        paths = _chosen(files, turn)
        _edit(theirs, paths, turn)
        git.append(_timed(lambda: _commit_with_git(theirs)))
        _edit(session.worktree, paths, turn)
        ours.append(_timed(lambda known=paths: session.append(LINES, when=_now(), paths=known)))
        _edit(session.worktree, paths, -turn)
        scan.append(_timed(lambda: session.append(LINES, when=_now(), paths=None)))
    return ours[2:], git[2:], scan[2:]


def _commit_with_git(repo: Path) -> None:
    _git(repo, "add", "-A")
    _git(repo, "commit", "-q", "-m", "step")


def _chosen(files: int, turn: int) -> list[str]:
    return [_path((turn * 7919 + n * (files // 3)) % files) for n in range(3)]


def _edit(root: Path, paths: list[str], turn: int) -> None:
    for path in paths:
        with (root / path).open("a") as file:
            file.write(f"turn {turn} {time.time_ns()}\n")


def _repository(root: Path, files: int) -> Path:
    for number in range(files):
        path = root / _path(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"line {number} {n}\n" for n in range(30)))
    _git(root, "init", "-q")
    _git(root, "add", "-A")
    _git(root, "commit", "-q", "-m", "first")
    _git(root, "gc", "-q")
    return root


def _path(number: int) -> str:
    return f"src/p{number // 1000:03d}/m{number // 50 % 20:02d}/file_{number:06d}.py"


def _git(root: Path, *args: str) -> None:
    identity = {"GIT_AUTHOR_NAME": "b", "GIT_AUTHOR_EMAIL": "b@localhost"}
    identity |= {"GIT_COMMITTER_NAME": "b", "GIT_COMMITTER_EMAIL": "b@localhost"}
    env = os.environ | identity | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-c", "gc.auto=0", *args], cwd=root, env=env, check=True)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
