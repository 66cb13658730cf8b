"""What the two processes say to each other: length-prefixed frames. Knows no socket, no model.

A frame is 4 bytes of length (big endian) and a JSON array whose first item names its kind.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from mlxk.engine.policy import Policy

Ended = Literal["stop", "length"]
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Job:
    """One sequence to continue: `made` are tokens of the answer that exist already.

    `max_tokens` counts the whole answer, `made` included; so does a token's position. `hints` are
    what the answer may say, for drafts.
    """

    uid: int
    prompt: tuple[int, ...]
    made: tuple[int, ...]
    max_tokens: int
    stop: tuple[int, ...]
    policy: Policy
    grammar: str | None = None
    grammar_after: tuple[int, ...] = ()
    top_logprobs: int | None = None
    hints: tuple[int, ...] = ()
    client: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """The first command: which folder, and how much of the machine may be used. `draft` says how
    tokens are guessed: `lookup`, `auto`, or the folder of a smaller model; None is not at all.
    """

    folder: str
    rows: int
    step_tokens: int
    kv_bytes: int | None
    kv_bits: int | None
    kept_bytes: int
    archive: str | None = None
    archive_bytes: int = 0
    draft: str | None = None


@dataclass(frozen=True, slots=True)
class Add:
    job: Job


@dataclass(frozen=True, slots=True)
class Abort:
    uid: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End after this step; the end of the socket means the same without delay."""


Command = Load | Add | Abort | Stop


@dataclass(frozen=True, slots=True)
class Turn:
    """From rank 0 to the others: the commands before this one come before the next step."""


@dataclass(frozen=True, slots=True)
class Raised:
    """From a rank to rank 0, and back when all say the same: the step of this turn raised there."""

    turn: int
    where: str


@dataclass(frozen=True, slots=True)
class Step:
    """One token of one sequence; a stop token is reported too, as the last one.

    The first step of a sequence says how many tokens of its prompt were not read again; the first
    of those that came at once how many had been `drafted`, and how many of them held.
    """

    uid: int
    token: int
    ended: Ended | None = None
    cached: int = 0
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    drafted: int = 0
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded. `token_bytes` is what one token costs in the cache (0: unknown)."""

    vocabulary: int
    token_bytes: int
    load_s: float


@dataclass(frozen=True, slots=True)
class Steps:
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life: sequences on the device, waiting ones, age of the step in progress.

    `peak_bytes` is the most that MLX ever held, `kv_bytes` what sequences hold now; `reading` says
    for prompts that are being read which (uid) and how far.
    """

    active: int
    queued: int
    step_s: float
    archived: int = 0
    peak_bytes: int = 0
    reading: tuple[tuple[int, int], ...] = ()
    kv_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """One request cannot be answered; the others go on."""

    uid: int
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Unloadable:
    """The model will never load: `kind` is the name of an error type."""

    kind: str
    message: str


Report = Ready | Steps | Beat | Failed | Unloadable


def encode(message: Command | Turn | Raised | Report) -> bytes:
    items: list[object] = [message]
    if isinstance(message, Steps):
        items = [_packed(step) for step in message.steps]
    body = orjson.dumps([type(message).__name__, *items])
    return _LENGTH.pack(len(body)) + body


def _packed(step: Step) -> list[object]:
    """Thousands a second: most need no more than four numbers."""
    plain: list[object] = [step.uid, step.token, step.ended, step.cached]
    if step.drafted:
        return [*plain, step.logprob, step.top, step.drafted, step.accepted]
    return plain if step.logprob is None else [*plain, step.logprob, step.top]


def _step(
    uid: int,
    token: int,
    ended: Ended | None,
    cached: int,
    logprob: float | None = None,
    top: Iterable[tuple[int, float]] = (),
    drafted: int = 0,
    accepted: int = 0,
) -> Step:
    likeliest = tuple((i, p) for i, p in top)
    return Step(uid, token, ended, cached, logprob, likeliest, drafted, accepted)


class Decoder:
    """Bytes in pieces of any size, whole messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Command | Turn | Raised | Report]:
        self._buffer += data
        while (end := self._end()) is not None:
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield decode(body)

    def _end(self) -> int | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        end = _LENGTH.size + int(_LENGTH.unpack_from(self._buffer)[0])
        return end if len(self._buffer) >= end else None


def decode(body: bytes) -> Command | Turn | Raised | Report:
    name, *items = orjson.loads(body)
    match name:
        case "Steps":
            return Steps(tuple(_step(*item) for item in items))
        case "Add":
            return Add(_job(items[0]["job"]))
        case "Beat":
            reading = tuple((uid, read) for uid, read in items[0].pop("reading"))
            return Beat(**items[0], reading=reading)
        case _:
            message: Command | Turn | Raised | Report = _PLAIN[name](**items[0])
            return message


_PLAIN: dict[str, Callable[..., Command | Turn | Raised | Report]] = {
    kind.__name__: kind for kind in (Load, Abort, Stop, Turn, Raised, Ready, Failed, Unloadable)
}


def _job(fields: dict[str, Any]) -> Job:
    policy = fields.pop("policy")
    bias = tuple((int(token), float(weight)) for token, weight in policy.pop("bias"))
    for name in ("prompt", "made", "stop", "grammar_after", "hints"):
        fields[name] = tuple(fields[name])
    return Job(**fields, policy=Policy(**policy, bias=bias))
