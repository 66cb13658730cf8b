"""What the routes share: the models that are served, the options, and what is going on now."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from aiohttp import web

from mlxk.chat.model import ChatModel
from mlxk.chat.types import Event, Request
from mlxk.contract.errors import ModelNotFound, OverCapacity
from mlxk.server.metrics import Metrics
from mlxk.server.responses import Responses
from mlxk.system.clock import Clock

# A prompt without a template: its text, or its very tokens.
Raw = str | Sequence[int]


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """`host` decides whose names are trusted. `aliases` are other names of models, `*` any other.
    Web pages of `origins` are answered beside those of this machine, `*` all.

    At shutdown answers have `drain_s` to end, or `hurry_s` when there is no time.
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
    aliases: Mapping[str, str] = field(default_factory=dict)
    origins: frozenset[str] = frozenset()
    log: Callable[[bytes], object] | None = None
    metrics: bool = True
    drain_s: float = 60.0
    hurry_s: float = 3.0


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
    async def context_length(self) -> int: ...


@runtime_checkable
class Local(Protocol):
    """A model whose tokens are at hand."""

    def complete(self, request: Request, prompt: Raw) -> AsyncGenerator[Event, None]: ...
    async def count_tokens(self, request: Request) -> int: ...
    async def encode(self, text: str) -> list[int]: ...
    async def decode(self, ids: Sequence[int]) -> str: ...


@dataclass(slots=True)
class ServerState:
    models: Mapping[str, ChatModel]
    options: ServerOptions
    clock: Clock
    elapsed: Callable[[], float]
    active: int = 0
    draining: bool = False
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    responses: Responses = field(default_factory=Responses)
    began: int = 0
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        self.idle.set()
        self.began = self.now
        self.metrics = Metrics(self.stats)

    def stats(self) -> dict[str, Stats]:
        """What the models that run here say of themselves."""
        return {name: m.stats for name, m in self.models.items() if isinstance(m, Observed)}

    @contextmanager
    def counted(self) -> Iterator[None]:
        """One answer in the making. None is begun while the server goes down."""
        if self.draining:
            raise OverCapacity("this server is shutting down")
        self.active += 1
        self.idle.clear()
        try:
            yield
        finally:
            self.active -= 1
            if not self.active:
                self.idle.set()

    @property
    def now(self) -> int:
        return int(self.clock().timestamp())

    def names(self) -> list[str]:
        """Every name that a client may choose: the models' own, then aliases of those that are."""
        more = (alias for alias in self.options.aliases if alias not in ("", "*", *self.models))
        return [*self.models, *(alias for alias in more if self._own_name(alias) in self.models)]

    def pick(self, wanted: str) -> tuple[str, ChatModel]:
        """By name, by an alias, by the last part of a name, or the only one if none is named."""
        name = self._own_name(wanted)
        if name not in self.models:
            served = ", ".join(self.models)
            raise ModelNotFound(f"the model {wanted!r} is not served here", hint=f"try {served}")
        return name, self.models[name]

    def _own_name(self, wanted: str) -> str:
        aliases, only = self.options.aliases, len(self.models) == 1
        name = aliases.get(wanted, wanted)
        if name in self.models:
            return name
        tails = [known for known in self.models if known.rpartition("/")[2] == name]
        alone = next(iter(self.models)) if only and not wanted else None
        return tails[0] if len(tails) == 1 else alone or aliases.get("*", "")


STATE = web.AppKey("state", ServerState)
