"""Logs of deployments: read and archived. Lines are the server's own, as it wrote them."""

import gzip
import os
import re
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGSTOP

from mlxk.contract.errors import InvalidValue, NotFound
from mlxk.deploy.record import Record
from mlxk.system import files

EVENTS = "events"

_PATIENCE_S = 5.0

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,]\d+)?(Z?)")
_EVENT = re.compile(r'\{"(?:ts|time)":"([^"]+)"')
_SINCE = re.compile(r"(\d{1,9})(s|m|h|d)")


@dataclass(frozen=True, slots=True)
class LogFile:
    name: str
    path: str
    size_bytes: int
    archives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """`ts` is what the line itself, or the last one before it that has one, says."""

    ts: str | None
    stream: str
    text: str


def path_of(home: Path, name: str) -> Path:
    return home / "logs" / ("events.ndjson" if name == EVENTS else f"{name}.log")


def size(home: Path, name: str) -> int:
    with suppress(OSError):
        return path_of(home, name).stat().st_size
    return 0


def listing(home: Path) -> tuple[LogFile, ...]:
    folder = home / "logs"
    found = sorted((*folder.glob("*.log"), *folder.glob("*.ndjson"))) if folder.is_dir() else []
    return tuple(
        LogFile(p.stem, str(p), p.stat().st_size, tuple(map(str, archives(p)))) for p in found
    )


def archives(path: Path) -> list[Path]:
    """Oldest first."""
    found = path.parent.glob(f"{path.name}.*.gz")
    return sorted((p for p in found if _number(p)), key=_number, reverse=True)


def lines(
    home: Path,
    name: str,
    *,
    tail: int,
    since: str | None = None,
    whole: bool = False,
    end: int | None = None,
) -> tuple[tuple[Line, ...], bool]:
    """The last lines, and whether earlier ones were left out. `whole`: archives, too."""
    path = path_of(home, name)
    if not path.exists():
        raise NotFound(f"{name} has no log", hint="mlxk logs", name=name)
    kept: deque[Line] = deque(maxlen=max(1, tail) if tail else None)
    count = 0
    for line in stamped(_texts(path, whole=whole, end=end), name):
        if since is None or (line.ts is not None and line.ts >= since):
            kept.append(line)
            count += 1
    return tuple(kept), count > len(kept)


def steady(path: Path) -> AbstractContextManager[bool]:
    """While it is read nobody archives it; False: nobody ever did."""
    return files.shared(lock_of(path))


def lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def copy_of(path: Path) -> Path:
    """What is being archived, and not packed yet."""
    return path.with_name(f".{path.name}.copy")


def moment(text: str, now: float) -> str:
    """`10m` before now, or a time as it is written in RFC 3339."""
    if found := _SINCE.fullmatch(text):
        unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}[found.group(2)]
        return _iso(max(0.0, now - int(found.group(1)) * unit))
    if _STAMP.match(text):
        return text.replace(" ", "T").removesuffix("Z") + "Z"
    raise InvalidValue(f"{text!r} is no time", hint="10m, 2h, or 2026-01-31T12:00:00Z")


def rotate(home: Path, name: str, keep: int, known: Record | None = None) -> Path | None:
    """Archive a log and empty it. The writer is halted for the moment in which lines get lost."""
    path = path_of(home, name)
    if not path.exists():
        return None
    with files.translated(path), files.locked_within(lock_of(path), _PATIENCE_S):
        copy = copy_of(path)
        if copy.exists():
            pass  # a full disk or a kill kept it from being packed: it goes first
        elif size(home, name) == 0:
            return None
        elif name == EVENTS:  # opened anew for each line: a new name is enough
            path.replace(copy)
            path.touch()
        else:
            _emptied(path, copy, known)
        packed = _packed(copy, path.with_name(f"{path.name}.1.gz.tmp")) if keep else None
        _shift(path, keep)
        archive = packed and packed.replace(path.with_name(f"{path.name}.1.gz"))
        copy.unlink()
        return archive


def _packed(copy: Path, target: Path) -> Path:
    with copy.open("rb") as source, gzip.open(target, "wb", 6) as packed:
        shutil.copyfileobj(source, packed, 1 << 20)
    return target


def _emptied(path: Path, copy: Path, known: Record | None) -> None:
    with path.open("rb+") as log, copy.open("wb") as out:
        shutil.copyfileobj(log, out, 1 << 20)
        with _halted(known):
            shutil.copyfileobj(log, out, 1 << 20)
            log.truncate(0)


@contextmanager
def _halted(known: Record | None) -> Iterator[None]:
    who = known.identity if known is not None and known.is_alive() else None
    if who is None:
        yield
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(who.pid, SIGSTOP)
    try:
        _settle(who.pid)
        yield
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(who.pid, SIGCONT)


def _settle(pid: int) -> None:
    """A signal is only sent: wait until the kernel says that the process stands."""
    for _ in range(50):
        with suppress(OSError, IndexError):
            if Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in b"Tt":
                return
        time.sleep(0.001)


def _shift(path: Path, keep: int) -> None:
    """`.1.gz` is the newest; what would be more than `keep` goes."""
    for old in archives(path):
        if _number(old) >= keep:
            old.unlink()
        else:
            old.rename(path.with_name(f"{path.name}.{_number(old) + 1}.gz"))


def _number(path: Path) -> int:
    text = path.name.removesuffix(".gz").rpartition(".")[2]
    return int(text) if text.isascii() and text.isdigit() else 0


def _texts(path: Path, *, whole: bool, end: int | None) -> Iterator[str]:
    for archive in archives(path) if whole else ():
        with gzip.open(archive, "rt", encoding="utf-8", errors="replace") as packed:
            yield from (line.rstrip("\n") for line in packed)
    with path.open("rb") as file:
        left = sys.maxsize if end is None else end
        while left > 0 and (line := file.readline(left)):
            left -= len(line)
            yield line.decode(errors="replace").rstrip("\n")


def stamped(texts: Iterator[str], name: str) -> Iterator[Line]:
    stream = "events" if name == EVENTS else "log"
    last: str | None = None
    for text in texts:
        if found := _EVENT.match(text):
            last = found.group(1)
        elif found := _STAMP.match(text):
            last = f"{found.group(1)}T{found.group(2)}Z"
        yield Line(last, stream, text)


def _iso(when: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
