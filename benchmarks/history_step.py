"""One agent step's durable commit against `git add -A && git commit`, interleaved in one run.

Both sides record the same edit of three files: ours knowing which, looking where the kernel says
that something happened (as after Bash), or looking everywhere. Ours also stores the conversation
and syncs everything to disk. git runs with its defaults, which sync less; `durable_git_ms` is the
same with `core.fsync=all`. Prints one JSON document.
"""

import argparse
import json
import os
import statistics
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from mlxk.history.session import Session
from mlxk.history.store import Store

ROUNDS = 21
LIBRARY = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
TEXT = b"".join(path.read_bytes() for path in LIBRARY)
LINES = b'{"role":"assistant","content":"%s"}\n' % (b"x" * 600)


def main() -> None:
    sizes = sizes_asked_for(__doc__)
    results = [measured(size) for size in sizes]
    print(json.dumps({"benchmark": "history_step", "rounds": ROUNDS, "results": results}, indent=2))


def measured(files: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        repo = make_repository(home / "repo", files)
        git(home, "clone", "-q", "--no-local", str(repo), "theirs")
        theirs = home / "theirs"
        store = Store.open(repo, home / "home")
        began = time.perf_counter()
        with Session.create(store, b"{}", name="bench", when=now()) as session:
            created = time.perf_counter() - began
            with Session.create(store, b"{}", name="scan", when=now()) as scanning:
                scanning._checkout.close()  # as where the kernel does not tell
                os.sync()  # what building the repositories left behind belongs to neither side
                times = _interleaved(session, scanning, theirs, files)
    ours, usual, durable, bash, scan = (statistics.median(t) * 1e3 for t in times)
    return {
        "files": files,
        "create_ms": round(created * 1e3, 1),
        "git_ms": round(usual, 2),
        "durable_git_ms": round(durable, 2),
        "known_paths_ms": round(ours, 2),
        "after_bash_ms": round(bash, 2),
        "full_scan_ms": round(scan, 2),
        "known_paths_ratio": round(ours / usual, 3),
        "after_bash_ratio": round(bash / usual, 3),
        "full_scan_ratio": round(scan / usual, 3),
        "known_paths_ratio_to_durable_git": round(ours / durable, 3),
    }


def _interleaved(
    session: Session, scanning: Session, theirs: Path, files: int
) -> tuple[list[float], ...]:
    times: tuple[list[float], ...] = ([], [], [], [], [])
    for turn in range(ROUNDS + 2):
        paths = _chosen(files, turn)
        arms: list[tuple[Path, Callable[[], object]]] = [
            (session.worktree, lambda known=paths: session.append(LINES, when=now(), paths=known)),
            (theirs, lambda: _commit_with_git(theirs)),
            (theirs, lambda: _commit_with_git(theirs, "-c", "core.fsync=all")),
            (session.worktree, lambda: session.append(LINES, when=now(), paths=None)),
            (scanning.worktree, lambda: scanning.append(LINES, when=now(), paths=None)),
        ]
        for taken, (root, work) in zip(times, arms, strict=True):
            _edit(root, paths, turn)
            taken.append(timed(work))
    return tuple(taken[2:] for taken in times)


def _commit_with_git(repo: Path, *options: str) -> None:
    git(repo, *options, "add", "-A")
    git(repo, *options, "commit", "-q", "-m", "step")


def _chosen(files: int, turn: int) -> list[str]:
    return [_path((turn * 7919 + n * (files // 3)) % files) for n in range(3)]


def _edit(root: Path, paths: list[str], turn: int) -> None:
    for path in paths:
        with (root / path).open("a") as file:
            file.write(f"turn {turn} {time.time_ns()}\n")


def make_repository(root: Path, files: int) -> Path:
    """Files of 2 to 10 kB, as source files are, from Python's own library."""
    for number in range(files):
        path = root / _path(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        at, size = number * 7919 % (len(TEXT) - 10_000), 2_000 + number * 37 % 8_000
        path.write_bytes(b"# %d\n" % number + TEXT[at : at + size] + b"\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    git(root, "gc", "-q")
    return root


def sizes_asked_for(description: str | None) -> list[int]:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("files", type=int, nargs="*", default=[1_000, 10_000, 50_000])
    sizes: list[int] = parser.parse_args().files
    return sizes


def _path(number: int) -> str:
    return f"src/p{number // 1000:03d}/m{number // 50 % 20:02d}/file_{number:06d}.py"


def git(root: Path, *args: str) -> None:
    identity = {"GIT_AUTHOR_NAME": "b", "GIT_AUTHOR_EMAIL": "b@localhost"}
    identity |= {"GIT_COMMITTER_NAME": "b", "GIT_COMMITTER_EMAIL": "b@localhost"}
    env = os.environ | identity | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-c", "gc.auto=0", *args], cwd=root, env=env, check=True)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
