"""The prefix cache's second tier: what was read is written behind, and read back aside.

Answers come first: what has ended is copied a piece at a time, while nobody asks or seldom; threads
of its own talk to the disk; a request that is being read back waits outside of the batch. Each
of several ranks has files of its own, written in its own time; what is read back they agree on.
"""

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from mlxk.contract.errors import MlxkError
from mlxk.engine import snapshot
from mlxk.engine.caches import Caches
from mlxk.engine.group import dispatch
from mlxk.engine.segments import BLOCK, Segment, Segments
from mlxk.engine.shard import ALONE, Shard

log = logging.getLogger(__name__)

_SHORTEST = 32
_OFFERED = 16
# Between two pieces while there are answers to give.
_PAUSE_S = 0.5
_MOMENT_S = 0.02
# How long the writer rests after a piece, in times of what that took, while answers are made.
_REST = 9.0
_SAMPLES = 16
_SAMPLE_BYTES = 1 << 16
_LOST, _ON_THE_WAY, _HERE = -1, 0, 1


@dataclass(slots=True, eq=False)
class Loan:
    """`length` tokens on their way from the disk, for one row, which may leave before they come.

    Once `is_settled`, `caches` hold them, or are None: what is unreadable for one rank is for all.
    """

    length: int
    pieces: "Future[list[snapshot.Copied] | None]"
    has_left: threading.Event
    is_settled: bool = False
    caches: Caches | None = None


class Archive:
    """`offer` and `ask` belong to the engine's thread, the disk to another. Sequences that wait to
    be copied hold about `waiting_bytes` at most, and so do the copies that wait for the disk."""

    def __init__(
        self,
        segments: Segments,
        make: Callable[[], Caches],
        waiting_bytes: int,
        shard: Shard = ALONE,
    ) -> None:
        self._segments = segments
        self._make = make
        self._shard = shard
        kinds = [snapshot.is_plain(cache) for cache in make()]
        self._whole = not any(kinds)
        self._needs_state = not all(kinds)
        self._waiting_bytes = waiting_bytes
        # Each `next` takes one piece of a sequence, of so many bytes; the newest goes first.
        self._offered: deque[tuple[Iterator[None], int]] = deque(maxlen=_OFFERED)
        self._computing: deque[tuple[Segment, snapshot.Snapshot]] = deque()
        self._writing: deque[tuple[Future[None], int]] = deque()
        self._copied_bytes = 0
        self._on_their_way: set[str] = set()
        self._writer = ThreadPoolExecutor(1, "mlxk-archive-writer")
        self._reader = ThreadPoolExecutor(1, "mlxk-archive-reader")
        self._calm = threading.Event()
        self._next = 0.0

    @property
    def files(self) -> int:
        return self._segments.count

    def offer(self, tokens: Sequence[int], held: Caches, mark: int = 0) -> None:
        """Write what is new of a sequence that nobody changes any more, when there is time.

        Another may go on from its first `mark` tokens, its prompt: they get an end of their own.
        """
        if len(tokens) >= _SHORTEST:
            marked = tokens[:mark] if mark >= _SHORTEST and not self._needs_state else ()
            prompt = self._pieces(marked, held, least=1)
            pieces = itertools.chain(prompt, self._pieces(tokens, held, least=1))
            self._offered.append((pieces, sum(cache.nbytes for cache in held)))
            while len(self._offered) > 1 and sum(n for _, n in self._offered) > self._waiting_bytes:
                self._offered.popleft()

    def note(self, tokens: Sequence[int], held: Caches) -> None:
        """Write the whole blocks of a sequence that goes on, now: it will not be the same again."""
        pieces = self._pieces(tokens, held, least=BLOCK)
        while not self._is_full and next(pieces, False) is None:
            pass

    def advance(self) -> None:
        """Once a step."""
        self._calm.clear()
        self._hand_over()
        if self._offered and not self._is_full and time.monotonic() >= self._next:
            self._next = time.monotonic() + _PAUSE_S
            self._take_one()

    def tidy(self) -> bool:
        """With no answer to give: one more piece. False when nothing is left to do."""
        self._calm.set()
        self._hand_over()
        if self._is_full:
            wait([self._writing[0][0]], timeout=_MOMENT_S)
            return True
        return self._take_one()

    @property
    def _is_full(self) -> bool:
        return self._copied_bytes > self._waiting_bytes

    def _take_one(self) -> bool:
        while self._offered:
            for _ in self._offered[-1][0]:
                return True
            self._offered.pop()
        return bool(self._computing)

    def _pieces(self, tokens: Sequence[int], held: Caches, *, least: int) -> Iterator[None]:
        for piece in self._segments.split(tokens, whole=self._whole):
            is_new = not self._segments.known(piece) and piece.id not in self._on_their_way
            if is_new and piece.end - piece.start >= least:
                self._take(piece, tokens, held)
                yield

    def _take(self, piece: Segment, tokens: Sequence[int], held: Caches) -> None:
        is_last = piece.end == len(tokens)
        known = replace(piece, has_state=is_last or not self._needs_state)
        taken = snapshot.take(held, piece.start, piece.end, with_state=is_last)
        dispatch(taken.arrays)
        self._on_their_way.add(piece.id)
        self._copied_bytes += taken.size_bytes
        self._computing.append((known, taken))

    def _hand_over(self) -> None:
        """What was dispatched before the last step is computed by now."""
        while self._writing and self._writing[0][0].done():
            self._copied_bytes -= self._writing.popleft()[1]
        while self._computing:
            piece, taken = self._computing.popleft()
            future = self._writer.submit(self._write, piece, taken)
            self._writing.append((future, taken.size_bytes))

    def ask(self, tokens: Sequence[int], least: int) -> Loan | None:
        """Something longer than `least`, when the disks of all ranks have just that."""
        length, least = len(tokens), max(least, _SHORTEST)
        while length > least:
            chain = self._segments.find(tokens[:length], needs_state=self._needs_state)
            (ends,) = self._shard.each([chain[-1].end if chain else 0])
            length = min(ends)
            if length == max(ends) > least:
                left = threading.Event()
                return Loan(length, self._reader.submit(self._read, chain, left), left)
        return None

    def settle(self, loans: Sequence[Loan]) -> None:
        """Called at the same step by every rank, about the same loans."""
        for loan, news in zip(loans, self._shard.each(list(map(self._news, loans))), strict=True):
            loan.is_settled = min(news) != _ON_THE_WAY
            if min(news) == _LOST:
                loan.caches = None
                loan.has_left.set()

    def _news(self, loan: Loan) -> int:
        if not loan.pieces.done():
            return _ON_THE_WAY
        loan.caches = loan.caches or self._restored(loan)
        return _HERE if loan.caches else _LOST

    def _restored(self, loan: Loan) -> Caches | None:
        """What does not fit counts as unreadable."""
        if loan.pieces.exception() or not (pieces := loan.pieces.result()):
            return None
        try:
            return snapshot.restore(self._make(), pieces, loan.length)
        except (ValueError, TypeError, LookupError) as e:
            log.warning("the prefix cache holds something foreign: %s", e)
            return None

    def _write(self, piece: Segment, taken: snapshot.Snapshot) -> None:
        began = time.monotonic()
        try:
            self._segments.write(piece, taken.buffers())
        except (OSError, MlxkError) as e:
            log.warning("the prefix cache cannot be written: %s", e)
        finally:
            self._on_their_way.discard(piece.id)
        self._calm.wait(_REST * (time.monotonic() - began))

    def _read(
        self, chain: list[Segment], has_left: threading.Event
    ) -> list[snapshot.Copied] | None:
        """All or nothing: what follows a broken piece is given up with it, to be written anew."""
        pieces: list[snapshot.Copied] = []
        for segment in chain:
            if has_left.is_set():
                return None
            if (body := self._segments.read(segment)) is None:
                for lost in chain[len(pieces) :]:
                    self._segments.discard(lost)
                return None
            pieces.append(snapshot.copied(body))
        return pieces


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
