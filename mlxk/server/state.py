"""What the routes share: the models that are served, the options, and what is going on now."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from aiohttp import web

from mlxk.chat.model import ChatModel
from mlxk.contract.errors import ModelNotFound
from mlxk.system.clock import Clock


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """`host` decides whose names are trusted. `drain_s`: how long streams may end at shutdown.

    `patience_s` is how long headers wait for the first event, so that errors can have a status;
    `stalled_s` is how long a reader may leave its stream unread.
    """

    host: str = "127.0.0.1"
    api_key: str | None = None
    body_bytes: int = 64 << 20
    body_s: float = 60.0
    patience_s: float = 3.0
    heartbeat_s: float = 10.0
    stalled_s: float = 60.0
    drain_s: float = 4.0


class Stats(Protocol):
    """Figures of one model that runs here."""

    @property
    def phase(self) -> str: ...
    @property
    def active_sequences(self) -> int: ...
    @property
    def queued(self) -> int: ...
    @property
    def prefix_cache_files(self) -> int: ...


@runtime_checkable
class Observed(Protocol):
    """A model that says how it is; one that does not is taken to be ready."""

    @property
    def stats(self) -> Stats: ...
    @property
    def context_length(self) -> int | None: ...


@dataclass(slots=True)
class ServerState:
    models: Mapping[str, ChatModel]
    options: ServerOptions
    clock: Clock
    elapsed: Callable[[], float]
    active: int = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    @property
    def now(self) -> int:
        return int(self.clock().timestamp())

    def pick(self, wanted: str) -> tuple[str, ChatModel]:
        """By name, by the last part of a name, or the only one there is when none is named."""
        tails = [name for name in self.models if name.rpartition("/")[2] == wanted]
        name = wanted if wanted in self.models else tails[0] if len(tails) == 1 else None
        if not wanted and len(self.models) == 1:
            name = next(iter(self.models))
        if name is None:
            served = ", ".join(self.models)
            raise ModelNotFound(f"the model {wanted!r} is not served here", hint=f"try {served}")
        return name, self.models[name]


STATE = web.AppKey("state", ServerState)
