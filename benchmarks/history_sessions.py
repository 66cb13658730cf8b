"""What many sessions and long ones cost: listing, resuming, plain `git log`, bytes on the disk.

Results of calls are pieces of Python's own library: text as an agent reads it.

Prints one JSON document. Commands are timed as users run them, interpreter start included; each
figure is the median of five.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from history_step import git, make_repository, now

from mlxk.agent.settings import Settings, to_meta
from mlxk.agent.transcript import from_lines, to_lines
from mlxk.chat.types import Message, Text, ToolResult, ToolUse
from mlxk.history.session import Session
from mlxk.history.store import Store

TURNS, RESULT = 200, 4096
TEXT = "".join(p.read_text() for p in sorted(Path(os.__file__).parent.glob("*.py"))[:120])
MLXK = str(Path(sys.executable).with_name("mlxk"))
META = to_meta(Settings("builtin:tiny"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sessions", type=int, nargs="?", default=1_000)
    sessions: int = parser.parse_args().sessions
    results = {"long_session": long_session(), "many_sessions": many_sessions(sessions)}
    print(json.dumps({"benchmark": "history_sessions", **results}, indent=2))


def long_session() -> dict[str, object]:
    """200 turns with 4 kB results, one file changed in each."""
    with tempfile.TemporaryDirectory() as folder:
        repo, home = make_repository(Path(folder) / "repo", 1_000), Path(folder) / "home"
        before, log = packed_bytes(repo), plain_log(repo)
        with Store.open(repo, home) as store:
            with Session.create(store, META, name="long", when=now()) as session:
                talked = sum(turn(session, number) for number in range(TURNS))
            resume = median(lambda: resumed(repo, home))
            listed = median(lambda: mlxk(repo, home, "branch", "list"))
        grown = packed_bytes(repo) - before
        return {
            "turns": TURNS,
            "conversation_kb": round(talked / 1e3, 1),
            "packed_kb_per_kb": round(grown / talked, 3),
            "plain_git_log_grew_by": len(plain_log(repo)) - len(log),
            "branch_git_log_kb": round(len(plain_log(repo, "mlxk/long")) / 1e3, 1),
            "resume_s": resume,
            "branch_list_s": listed,
        }


def turn(session: Session, number: int) -> int:
    """One round of an agent: what the model calls for, then the result and a changed file."""
    use = ToolUse(f"call_{number}", "Bash", json.dumps({"command": f"make step-{number}"}))
    result = ToolResult(use.id, TEXT[number * RESULT : (number + 1) * RESULT], name="Bash")
    said = to_lines((Message("assistant", (Text(f"Now step {number}."), use)),))
    heard = to_lines((Message("tool", (result,)),))
    session.append(said, when=now(), subject="call Bash", model="builtin:tiny", rests=False)
    (session.worktree / "notes.txt").write_text(f"{number}\n")
    session.append(heard, when=now(), paths=["notes.txt"], model="builtin:tiny", rests=False)
    return len(said) + len(heard)


def resumed(repo: Path, home: Path) -> None:
    with Store.open(repo, home) as store, Session.open(store, "long", when=now()) as session:
        assert len(from_lines(session.record.lines())) == 2 * TURNS


def many_sessions(count: int) -> dict[str, object]:
    """As an agent leaves them: a prompt, a call, its result with a file, an answer."""
    with tempfile.TemporaryDirectory() as folder:
        repo, home = make_repository(Path(folder) / "repo", 50), Path(folder) / "home"
        began = time.perf_counter()
        for number in range(count):
            with (
                Store.open(repo, home) as store,
                Session.create(store, META, name=f"try-{number}", when=now()) as session,
            ):
                session.append(to_lines((Message("user", (Text("do it"),)),)), when=now())
                turn(session, number)
                done = to_lines((Message("assistant", (Text("done"),)),))
                session.append(done, when=now(), model="builtin:tiny", rests=True)
        made = time.perf_counter() - began
        packs = len(list((repo / ".git/objects/pack").glob("*.pack")))
        listed = median(lambda: mlxk(repo, home, "branch", "list"))
        git(repo, "commit", "-q", "--allow-empty", "-m", "meanwhile")
        git(repo, "gc", "-q")
        return {
            "sessions": count,
            "made_ms_each": round(made / count * 1e3, 1),
            "packs": packs,
            "branch_list_s": listed,
            "branch_list_cpu_s": cpu(lambda: mlxk(repo, home, "branch", "list")),
            "branch_list_after_git_gc_s": median(lambda: mlxk(repo, home, "branch", "list")),
            "bare_start_s": median(lambda: mlxk(repo, home, "version")),
        }


def packed_bytes(repo: Path) -> int:
    git(repo, "gc", "-q", "--prune=now")
    return sum(p.stat().st_size for p in (repo / ".git/objects/pack").iterdir())


def plain_log(repo: Path, *args: str) -> bytes:
    done = subprocess.run(["git", "log", *args], cwd=repo, capture_output=True, check=True)
    return done.stdout


def mlxk(repo: Path, home: Path, *args: str) -> None:
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    env["MLXK_HOME"] = str(home)
    argv = [MLXK, *args, "--json"]
    subprocess.run(argv, cwd=repo, env=env, stdout=subprocess.DEVNULL, check=True)


def median(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return round(statistics.median(taken), 3)


def cpu(work: Callable[[], object]) -> float:
    """What our children computed meanwhile: steadier than the clock on a busy machine."""
    before = os.times()
    work()
    after = os.times()
    spent = after.children_user + after.children_system
    return round(spent - before.children_user - before.children_system, 3)


if __name__ == "__main__":
    main()
