"""Hash cached files again and compare with their names: finds a single flipped bit."""

import os
from collections.abc import Generator, Iterable
from functools import partial

from mlxk.hub import checksum
from mlxk.hub.contents import Contents, File
from mlxk.hub.fleet import Fleet, Progress, Task, Tick


def verify(folders: Iterable[Contents]) -> Generator[Progress, None, dict[str, str]]:
    """Every file that is named by its content, once; returns the wrong ones: path to reason."""
    wrong: dict[str, str] = {}
    tasks: dict[str, Task] = {}
    for contents in folders:
        for file in contents.files:
            if file.problem is None and file.blob and checksum.is_checksum(file.blob):
                path = os.path.realpath(contents.path(file.name))
                tasks[path] = Task(file.name, file.size, partial(_check, wrong, path, file))
    # The largest first: the last worker then has little left when the others end.
    ordered = sorted(tasks.values(), key=lambda task: -task.size)
    yield from Fleet(ordered, workers=os.cpu_count() or 1).run()
    return wrong


def problems(contents: Contents, wrong: dict[str, str]) -> tuple[str, ...]:
    """What `verify` found in this folder, one line a file."""
    found = (
        (f.name, wrong.get(os.path.realpath(contents.path(f.name))))
        for f in contents.files
        if f.blob
    )
    return tuple(f"{name}: {reason}" for name, reason in found if reason)


def _check(wrong: dict[str, str], path: str, file: File, tick: Tick) -> None:
    try:
        is_right = checksum.matches(path, file.blob or "", file.size, tick)
    except OSError as e:
        wrong[path] = (e.strerror or str(e)).lower()
        return
    if not is_right:
        wrong[path] = f"its bytes do not have the checksum {file.blob}"
