"""Several models in one memory: each is loaded when it is asked for and unloaded when it is idle.

Knows what memory a model needs and when it was last used, not what it is.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from mlxk.chat.types import Event, Request
from mlxk.contract.errors import OutOfMemory, OverCapacity, RateLimited
from mlxk.server.state import Raw, Stats


class Engine(Protocol):
    """What is kept here: opened by `async with`, ready after `ready`."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def ready(self) -> None: ...
    def stream(self, request: Request) -> AsyncGenerator[Event, None]: ...
    def complete(self, request: Request, prompt: Raw) -> AsyncGenerator[Event, None]: ...
    async def count_tokens(self, request: Request) -> int: ...
    async def encode(self, text: str) -> list[int]: ...
    async def decode(self, ids: Sequence[int]) -> str: ...
    async def context_length(self) -> int: ...
    @property
    def stats(self) -> Stats: ...


@dataclass(frozen=True, slots=True)
class Asleep:
    """The figures of a model that is not loaded."""

    phase: str = "stopped"
    active_sequences: int = 0
    queued: int = 0
    restarts: int = 0
    prefix_cache_files: int = 0
    kv_bytes: int = 0


class House:
    """The memory that its residents share. Room is made by unloading who was idle longest.

    At most `places` requests wait for a load, each no longer than `wait_s`.
    """

    def __init__(
        self,
        budget_bytes: int,
        *,
        patience_s: float = 60.0,
        places: int | None = None,
        wait_s: float | None = None,
    ) -> None:
        self.budget_bytes = budget_bytes
        self._patience_s = patience_s
        self._places = places
        self._wait_s = wait_s
        self._waiting = 0
        self._residents: list[Resident] = []
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    def take(self, resident: "Resident") -> None:
        self._residents.append(resident)

    def drop(self, resident: "Resident") -> None:
        self._residents.remove(resident)

    def tell(self) -> None:
        """Somebody became idle, or left."""
        self._changed.set()

    @asynccontextmanager
    async def waiting(self, name: str) -> AsyncIterator[None]:
        if self._places is not None and self._waiting >= self._places:
            raise OverCapacity(f"{self._waiting} requests wait for models to load")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                yield
        except TimeoutError as e:
            raise OverCapacity(f"{name} was not loaded within {self._wait_s:g} s") from e
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def room(self, resident: "Resident") -> AsyncIterator[None]:
        """One load at a time, first come, first served."""
        if resident.needed_bytes > self.budget_bytes:
            needed, allowed = resident.needed_bytes, self.budget_bytes
            message = f"{resident.name} needs {needed} bytes, {allowed} are allowed"
            raise OutOfMemory(message, needed=needed, allowed=allowed)
        async with self._turn:
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._make(resident)
            except TimeoutError as e:
                raise OverCapacity(f"no memory for {resident.name}: the others are busy") from e
            yield

    async def _make(self, newcomer: "Resident") -> None:
        while self._taken() + newcomer.needed_bytes > self.budget_bytes:
            self._changed.clear()
            idle = [r for r in self._residents if r.may_leave]
            if idle:
                longest = min(idle, key=lambda resident: resident.used)
                await longest.unload(f"evicted_for:{newcomer.name}")
            else:
                await self._changed.wait()

    def _taken(self) -> int:
        return sum(r.needed_bytes for r in self._residents if r.holds_memory)


@dataclass(slots=True, eq=False)
class Resident:
    """A model of a house. `keep_alive_s` None keeps it until its memory is needed.

    More than `most` requests at once are refused; `reason` is why it was unloaded last, `absent`
    the phase while it is not loaded.
    """

    name: str
    engine: Callable[[], Engine]
    needed_bytes: int
    house: House
    keep_alive_s: float | None = None
    pinned: bool = False
    most: int | None = None
    used: float = 0.0
    reason: str = "user"
    absent: Callable[[], str] = lambda: "stopped"
    _engine: Engine | None = None
    _closing: bool = False
    _door: asyncio.Lock = field(default_factory=asyncio.Lock)
    _users: int = 0
    _loading: asyncio.Task[Engine] | None = None
    _expiry: asyncio.TimerHandle | None = None
    _leaving: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.house.take(self)

    @property
    def held(self) -> Engine | None:
        return self._engine

    @property
    def holds_memory(self) -> bool:
        return self._engine is not None or self._closing

    @property
    def is_moving(self) -> bool:
        """On the way in or out."""
        return self._closing or self._loading is not None

    @property
    def may_leave(self) -> bool:
        return self._engine is not None and self._is_idle and not self.pinned

    @property
    def _is_idle(self) -> bool:
        """Nor busy for somebody who asked the engine itself."""
        return self._users == 0 and not self.stats.active_sequences

    @property
    def expires_in_s(self) -> float | None:
        """When it will leave if nobody asks; None: not by itself."""
        if self._expiry is None:
            return None
        return max(0.0, self._expiry.when() - asyncio.get_running_loop().time())

    @property
    def stats(self) -> Stats:
        if self._engine is not None:
            return self._engine.stats
        return Asleep("loading" if self._loading is not None else self.absent())

    def stay(self, seconds: float) -> None:
        """From now on it leaves after so long without a request; `inf`: not by itself."""
        self.keep_alive_s = None if seconds == inf else seconds
        if self._engine is not None and not self._users:
            self._unschedule()
            self._rest()

    async def ready(self) -> None:
        """Load it now."""
        async with self._held():
            pass

    async def close(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait({self._loading})
        await self.unload()

    async def unload(self, reason: str = "user") -> None:
        """Ends its process: the memory really comes back."""
        self._unschedule()
        engine, self._engine = self._engine, None
        if engine is None:
            return
        self.reason = reason
        self._closing = True
        try:
            async with self._door:
                await engine.close()
        finally:
            self._closing = False
            self.house.tell()

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        async with self._held() as engine, aclosing(engine.stream(request)) as events:
            async for event in events:
                yield event

    async def complete(self, request: Request, prompt: Raw) -> AsyncGenerator[Event, None]:
        async with self._held() as engine, aclosing(engine.complete(request, prompt)) as events:
            async for event in events:
                yield event

    async def count_tokens(self, request: Request) -> int:
        async with self._held() as engine:
            return await engine.count_tokens(request)

    async def encode(self, text: str) -> list[int]:
        async with self._held() as engine:
            return await engine.encode(text)

    async def decode(self, ids: Sequence[int]) -> str:
        async with self._held() as engine:
            return await engine.decode(ids)

    async def context_length(self) -> int:
        """Who only looks does not prolong a model's stay."""
        if self._engine is not None:
            return await self._engine.context_length()
        async with self._held() as engine:
            return await engine.context_length()

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[Engine]:
        if self.most is not None and self._users >= self.most:
            raise RateLimited(f"{self.name} answers {self.most} requests at once, not more")
        self._users += 1
        self._unschedule()
        try:
            yield self._engine or await self._loaded()
        finally:
            self._users -= 1
            self._rest()

    async def _loaded(self) -> Engine:
        """All who ask while it loads wait for the one load; one who leaves does not end it."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
            self._loading.add_done_callback(_heard)
        async with self.house.waiting(self.name):
            return await asyncio.shield(self._loading)

    async def _load(self) -> Engine:
        try:
            async with self._door:
                pass  # who is on the way out must be out before he is let in again
            async with self.house.room(self), AsyncExitStack() as stack:
                engine = self.engine()
                stack.push_async_callback(engine.close)
                await engine.open()
                await engine.ready()
                stack.pop_all()
                self._engine = engine
                return engine
        finally:
            self._loading = None

    def _rest(self) -> None:
        """Nobody uses it now: its time begins to run."""
        loop = asyncio.get_running_loop()
        self.used = loop.time()
        if self._users == 0:
            self.house.tell()
            if self.keep_alive_s is not None and not self.pinned:
                self._expiry = loop.call_later(self.keep_alive_s, self._expire)

    def _expire(self) -> None:
        task = asyncio.ensure_future(self._leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leave(self) -> None:
        """Unless somebody came between the timer and now."""
        if self._is_idle:
            await self.unload("keep_alive")
        elif self._users == 0:
            self._rest()

    def _unschedule(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None


def _heard(load: "asyncio.Task[Engine]") -> None:
    """A load may fail when everybody who waited for it has left."""
    if not load.cancelled():
        load.exception()
