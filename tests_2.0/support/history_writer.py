"""Appends steps to a session and acknowledges each on stdout: made to be killed.

python history_writer.py REPOSITORY HOME NAME STEPS
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from mlxk.contract.errors import SessionNotFound
from mlxk.history.session import Session
from mlxk.history.store import Store


def main(repository, home, name, steps):
    with Store.open(Path(repository), Path(home)) as store, _session(store, name) as session:
        for _ in range(int(steps)):
            _work(session)


def _session(store, name):
    when = datetime.now(UTC)
    try:
        return Session.open(store, name, when=when)
    except SessionNotFound:
        return Session.create(store, b"{}", name=name, when=when)


def _work(session):
    number = session.record.step + 1
    root = session.worktree
    (root / f"{session.name}.txt").write_text(f"{number}\n" * (number % 5 + 1))
    (root / "shared").mkdir(exist_ok=True)
    (root / f"shared/{number % 7}").write_text(f"{session.name} {number}\n")
    paths = None if number % 3 == 0 else [f"{session.name}.txt", f"shared/{number % 7}"]
    when = datetime.now(UTC)
    step = session.append(b"%s %d\n" % (session.name.encode(), number), when=when, paths=paths)
    print(step.number, step.id, step.session_commit, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
