"""What travels over a wire: frames of a stream, and a request with how its answer is wanted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mlxk.chat.fold import Reply
from mlxk.chat.types import Event, Request
from mlxk.contract.errors import MlxkError


@dataclass(frozen=True, slots=True)
class Frame:
    """One server-sent event before bytes; without data it is a comment or `[DONE]`."""

    data: dict[str, Any] | None
    event: str | None = None
    comment: str | None = None


DONE = Frame(None)
KEEP_ALIVE = Frame(None, comment="keep-alive")


@dataclass(frozen=True, slots=True)
class ToolKind:
    """How a tool was declared where a format knows several kinds: its answer must be of the kind.

    `custom` tools take a text instead of arguments.
    """

    name: str
    namespace: str | None = None
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was asked: streamed or not, with a usage frame or not, `choices` times.

    `previous` names the answer that this goes on from; `kept` asks to keep this one. The first
    message holds for this answer only if it is `instructed`. `prompts` are raw, as text or token
    ids, each to be answered `choices / len(prompts)` times. `keep_alive_s` is how long the model
    is to stay in memory from then on. Who wants `one_call` takes no second one. What is `echoed`
    stands in the answer as it was asked.
    """

    request: Request
    stream: bool = False
    include_usage: bool = True
    choices: int = 1
    kinds: Mapping[str, ToolKind] = field(default_factory=dict)
    previous: str | None = None
    kept: bool = False
    instructed: bool = False
    prompts: tuple[str | tuple[int, ...], ...] = ()
    keep_alive_s: float | None = None
    one_call: bool = False
    echoed: Mapping[str, Any] = field(default_factory=dict)


class Encoder(Protocol):
    """Events of one answer (or of several choices) to frames; `fail` ends a stream that broke."""

    @property
    def heartbeat(self) -> Frame: ...

    def feed(self, event: Event, choice: int = 0) -> list[Frame]: ...

    def fail(self, error: MlxkError) -> list[Frame]: ...


class Decoder(Protocol):
    """Frames to events. `end` is called when the bytes end: without a Finish the stream was cut."""

    def feed(self, frame: Frame) -> list[Event]: ...

    def end(self) -> list[Event]: ...


@dataclass(frozen=True, slots=True)
class Format:
    """One wire format, both directions. `encoder` takes the request and the Unix time of now."""

    decode_request: Callable[[Any], Asked]
    encode_request: Callable[..., dict[str, Any]]
    encode_replies: Callable[[Sequence[Reply], Asked, int], dict[str, Any]]
    decode_reply: Callable[[Any], Reply]
    encode_error: Callable[[MlxkError, int], dict[str, Any]]
    encoder: Callable[[Asked, int], Encoder]
    decoder: Callable[[], Decoder]
