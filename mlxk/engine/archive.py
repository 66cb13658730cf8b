"""The prefix cache's second tier: what was read is written behind, and read back aside.

Nothing here makes the engine wait: arrays are handed over once they are computed, a thread of its
own talks to the disk, and a request that is being read back waits outside of the batch.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from mlxk.contract.errors import MlxkError
from mlxk.engine import snapshot
from mlxk.engine.caches import Caches
from mlxk.engine.group import dispatch
from mlxk.engine.segments import Segment, Segments

log = logging.getLogger(__name__)

_SHORTEST = 32
_WAITING = 64
_SAMPLES = 16
_SAMPLE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Loan:
    """Bodies of a chain that ends after `length` tokens; None when one could not be read."""

    length: int
    bodies: "Future[list[bytes] | None]"


class Archive:
    """`offer` and `ask` belong to the engine's thread, the disk to another."""

    def __init__(self, segments: Segments, make: Callable[[], Caches]) -> None:
        self._segments = segments
        self._make = make
        kinds = [snapshot.is_plain(cache) for cache in make()]
        self._whole = not any(kinds)
        self._needs_state = not all(kinds)
        self._computing: deque[tuple[Segment, snapshot.Snapshot]] = deque()
        self._on_disk = ThreadPoolExecutor(1, "mlxk-archive")
        self._writing: deque[Future[None]] = deque()

    @property
    def files(self) -> int:
        return self._segments.count

    def offer(self, tokens: Sequence[int], held: Caches) -> None:
        """Write what is new of a sequence, soon. Dropped when the disk does not keep up."""
        if len(tokens) < _SHORTEST or len(self._writing) > _WAITING:
            return
        for piece in self._segments.split(tokens, whole=self._whole):
            is_last = piece.end == len(tokens)
            if self._segments.known(piece):
                continue
            known = replace(piece, has_state=is_last or not self._needs_state)
            taken = snapshot.take(held, piece.start, piece.end, with_state=is_last)
            dispatch(taken.arrays)
            self._computing.append((known, taken))

    def advance(self) -> None:
        """Once a step: what was dispatched before the last one is computed by now."""
        while self._writing and self._writing[0].done():
            self._writing.popleft()
        while self._computing:
            self._writing.append(self._on_disk.submit(self._write, *self._computing.popleft()))

    def ask(self, tokens: Sequence[int], least: int) -> Loan | None:
        """Something longer than `least`, when the disk has it."""
        chain = self._segments.find(tokens, needs_state=self._needs_state)
        if not chain or chain[-1].end <= max(least, _SHORTEST):
            return None
        return Loan(chain[-1].end, self._on_disk.submit(self._read, chain))

    def caches(self, loan: Loan) -> Caches | None:
        """Of a loan that has arrived. A body that does not fit counts as unreadable."""
        if (bodies := loan.bodies.result()) is None:
            return None
        try:
            return snapshot.restore(self._make(), bodies, loan.length)
        except (ValueError, TypeError, LookupError) as e:
            log.warning("the prefix cache holds something foreign: %s", e)
            return None

    def _write(self, piece: Segment, taken: snapshot.Snapshot) -> None:
        try:
            self._segments.write(piece, taken.body())
        except (OSError, MlxkError) as e:
            log.warning("the prefix cache cannot be written: %s", e)

    def _read(self, chain: list[Segment]) -> list[bytes] | None:
        """All or nothing: what follows a broken piece is given up with it, to be written anew."""
        bodies: list[bytes] = []
        for piece in chain:
            if (body := self._segments.read(piece)) is None:
                for lost in chain[len(bodies) :]:
                    self._segments.discard(lost)
                return None
            bodies.append(body)
        return bodies


def fingerprint(folder: Path, *facts: object) -> bytes:
    """64 bytes that change with the weights, the configuration and the facts.

    Weights are too long to read whole: their names, sizes, times and samples of their bytes.
    """
    digest = blake2b(repr(facts).encode())
    for path in sorted(folder.glob("*.safetensors")):
        real = path.resolve()
        stat = real.stat()
        digest.update(repr((path.name, real.name, stat.st_size, stat.st_mtime_ns)).encode())
        with real.open("rb") as file:
            for sample in range(_SAMPLES):
                file.seek(stat.st_size * sample // _SAMPLES)
                digest.update(file.read(_SAMPLE_BYTES))
    with suppress(FileNotFoundError):
        digest.update((folder / "config.json").read_bytes())
    return digest.digest()
