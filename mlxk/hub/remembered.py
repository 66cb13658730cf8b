"""What was found out about models, kept until a file of theirs changes.

Judging a model reads its documents and headers; that nothing changed takes one stat a file.
"""

import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from mlxk import __version__
from mlxk.contract.errors import MlxkError
from mlxk.hub import contents, runtime
from mlxk.hub.contents import Contents
from mlxk.hub.model import Model, Place, Verdict
from mlxk.system import paths
from mlxk.system.files import write_atomic

# A file that changes twice within one tick of the file system's clock keeps its times.
_SETTLED_NS = 2_000_000_000

State = list[object]


@dataclass(frozen=True, slots=True)
class Known:
    model: Model
    verdict: Verdict


class Memory:
    """Asks `judge` about a model only when the remembered answer is of other files.

    A memory that cannot be read is empty; one that cannot be written is lost, which harms nobody.
    """

    def __init__(self, kind: str, judge: Callable[[Place, Contents], Known]) -> None:
        self._path = paths.home() / "remembered" / f"{kind}.json"
        self._judge = judge
        self._program = _program()
        self._entries = self._loaded()
        self._is_new = False

    def about(self, place: Place) -> Known:
        found = contents.scan(place.folder)
        state = _state(place, found)
        entry = self._entries.get(str(place.folder))
        if entry and entry["state"] == state:
            return _known(entry)
        known = self._judge(place, found)
        if place.problem is None and _is_settled(found):
            self._entries[str(place.folder)] = {"state": state, **asdict(known)}
            self._is_new = True
        return known

    def save(self) -> None:
        """Models that are gone are forgotten."""
        if not self._is_new:
            return
        kept = {name: entry for name, entry in self._entries.items() if Path(name).is_dir()}
        data = orjson.dumps({"program": self._program, "entries": kept})
        with suppress(MlxkError, OSError):
            write_atomic(self._path, _sealed(data), mode=0o600, durable=False)

    def _loaded(self) -> dict[str, dict[str, Any]]:
        with suppress(OSError):
            seal, _, data = self._path.read_bytes().partition(b"\n")
            if _sealed(data).startswith(seal + b"\n"):
                value = orjson.loads(data)
                if value["program"] == self._program:
                    return {**value["entries"]}
        return {}


def _sealed(data: bytes) -> bytes:
    return b"%08x\n%s" % (zlib.crc32(data), data)


def _known(entry: dict[str, Any]) -> Known:
    model, verdict = entry["model"], entry["verdict"]
    capabilities = tuple(model["capabilities"])
    problems, warnings = tuple(verdict["problems"]), tuple(verdict["warnings"])
    return Known(
        Model(**{**model, "capabilities": capabilities}),
        Verdict(verdict["healthy"], verdict["reason"], problems, warnings),
    )


def _state(place: Place, found: Contents) -> State:
    """All that an answer depends on, as JSON brings it back."""
    files = [[f.name, f.size, *f.state, f.problem] for f in found.files]
    return [place.name, place.hash, place.source, place.origin, files]


def _is_settled(found: Contents) -> bool:
    times = (time_ns for file in found.files for time_ns in file.state[:2])
    return found.problem is None and max(times, default=0) < time.time_ns() - _SETTLED_NS


def _program() -> list[object]:
    """What judges: this program's files, and mlx-lm's, which say what it can load."""
    ours, theirs = Path(__file__).parent, runtime.package()
    sources = [*ours.glob("*.py"), *((theirs / "models", theirs / "utils.py") if theirs else ())]
    with suppress(OSError):
        return [__version__, str(theirs), max(path.stat().st_mtime_ns for path in sources)]
    return [__version__, time.time_ns()]
