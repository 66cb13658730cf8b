"""How much memory processes hold. Linux tells; elsewhere it is unknown."""

import os
from contextlib import suppress
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int) -> int | None:
    """Of a process and all its descendants; None when nobody says."""
    own = _resident(pid)
    if own is None:
        return None
    return own + sum(_resident(child) or 0 for child in _descendants(pid))


def _resident(pid: int) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return None


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError, ValueError):
            for child in map(int, task.read_text().split()):
                found += [child, *_descendants(child)]
    return found
