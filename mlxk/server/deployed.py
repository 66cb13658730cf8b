"""A deployment as a model: asked over HTTP, started when it must be, ended when it may be."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from mlxk.chat.model import ChatModel
from mlxk.chat.types import Event, Message, Request, Start, Text
from mlxk.contract.errors import InvalidValue, MlxkError
from mlxk.server.line import Line, Where
from mlxk.server.record import PASSAGE
from mlxk.server.residency import Resident
from mlxk.server.router import Fallback
from mlxk.server.state import Local, Raw
from mlxk.wire import anthropic, openai_responses


class Place(Protocol):
    """A deployment's process: how it is found, started and stopped. May take long.

    After `leave` nothing is stopped any more.
    """

    @property
    def name(self) -> str: ...
    def where(self) -> Where | None: ...
    def absent(self) -> str: ...
    async def start(self) -> Where: ...
    async def stop(self, reason: str) -> None: ...
    def leave(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Figures:
    """What it said of itself when it was last looked at."""

    phase: str = "ready"
    active_sequences: int = 0
    queued: int = 0
    prefix_cache_files: int = 0
    kv_bytes: int = 0


class Deployed:
    """What a `Resident` holds while the deployment runs.

    `why` is the reason of a stop; `queue` is where requests wait while it is started again.
    """

    def __init__(
        self,
        place: Place,
        why: Callable[[], str],
        queue: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        self.stats = Figures()
        self._place = place
        self._why = why
        self._queue = queue
        self._line: Line | None = None
        self._turn = asyncio.Lock()
        self._active = 0

    async def open(self) -> None:
        await self._reach(self._place.where() or await self._place.start())

    async def ready(self) -> None:
        await self.look()

    async def close(self) -> None:
        """Its process ends, unless somebody else wants it."""
        if self._line is not None:
            await self._line.close()
        await self._place.stop(self._why())

    async def leave(self) -> None:
        """Its process goes on."""
        if self._line is not None:
            await self._line.close()

    async def look(self) -> None:
        """A look is no request: it keeps nobody alive."""
        where = self._place.where()
        if where is None:
            self.stats = Figures("failed")
            return
        body = await (await self._reach(where)).health()
        if body is None:
            self.stats = Figures("loading")
            return
        active, queued = body.get("active_sequences"), body.get("queued")
        self.stats = Figures("ready", _count(active), _count(queued))

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        async with self._asked() as line:
            remote = await line.chat()
            async with aclosing(_told(remote, request, await line.model())) as events:
                async for event in events:
                    yield event

    async def complete(self, request: Request, prompt: Raw) -> AsyncGenerator[Event, None]:
        text = prompt if isinstance(prompt, str) else await self.decode(prompt)
        raw = replace(request, messages=(Message("user", (Text(text),)),))
        async with self._asked() as line:
            remote = await line.raw()
            async with aclosing(_told(remote, raw, await line.model())) as events:
                async for event in events:
                    yield event

    async def count_tokens(self, request: Request) -> int:
        passage = PASSAGE.get()
        native = passage is not None and passage.form is anthropic.FORMAT
        form = anthropic.FORMAT if native else openai_responses.FORMAT
        async with self._own() as line:
            asked = replace(request, model=await line.model())
            return await line.count(form, form.encode_request(asked, stream=False))

    async def encode(self, text: str) -> list[int]:
        async with self._own() as line:
            reply = await line.post("/tokenize", {"text": text})
            return [int(id) for id in reply["tokens"]]

    async def decode(self, ids: Sequence[int]) -> str:
        async with self._own() as line:
            return str((await line.post("/detokenize", {"tokens": list(ids)}))["text"])

    async def context_length(self) -> int:
        """0: it does not say."""
        if self._line is None or not self._line.where.is_own:
            return 0
        try:
            return await self._line.context_length()
        except MlxkError:
            return 0

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[Line]:
        line = await self._reached()
        if (passage := PASSAGE.get()) is not None:
            passage.answered_by = self._place.name
        self._active += 1
        try:
            yield line
        finally:
            self._active -= 1

    @asynccontextmanager
    async def _own(self) -> AsyncIterator[Line]:
        async with self._asked() as line:
            if not line.where.is_own:
                raise InvalidValue(f"the tokens of {self._place.name!r} are not known here")
            yield line

    async def _reached(self) -> Line:
        """The line to the process that runs now: it may be another than at the last request."""
        where = self._place.where()
        if where is None or self._is_outdated(where):
            async with self._queue(), self._turn:
                where = self._place.where()
                if where is not None and self._is_outdated(where):
                    await self._place.stop("document_changed")
                    where = None
                where = where or await self._place.start()
        return await self._reach(where)

    def _is_outdated(self, where: Where) -> bool:
        return where.is_stale and not self._active

    async def _reach(self, where: Where) -> Line:
        """One line a process: the one before leads nowhere any more."""
        before = self._line
        if before is not None and before.where.pid == where.pid:
            return before
        line = self._line = Line(self._place.name, where)
        if before is not None:
            await before.close()
        return line


class Chain(Fallback):
    """A route: its deployments in turn. Tokens are those of the first."""

    def __init__(self, routes: Sequence[tuple[str, ChatModel]], first: Resident) -> None:
        super().__init__(routes)
        self._first = first

    def complete(self, request: Request, prompt: Raw) -> AsyncGenerator[Event, None]:
        """Raw prompts are for those whose tokens are at hand."""
        local = [(name, model) for name, model in self._routes if isinstance(model, Local)]
        tries = [partial(m.complete, replace(request, model=n), prompt) for n, m in local]
        return self.answered(tries, request.model)

    async def count_tokens(self, request: Request) -> int:
        return await self._first.count_tokens(request)

    async def encode(self, text: str) -> list[int]:
        return await self._first.encode(text)

    async def decode(self, ids: Sequence[int]) -> str:
        return await self._first.decode(ids)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


class Abroad:
    """A model that is not ours: the record of a request says that it went there."""

    def __init__(self, name: str, model: ChatModel) -> None:
        self._name = name
        self._model = model

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        if (passage := PASSAGE.get()) is not None:
            passage.answered_by = self._name
        async with aclosing(_told(self._model, request, self._name)) as events:
            async for event in events:
                yield event


async def _told(model: ChatModel, request: Request, there: str) -> AsyncGenerator[Event, None]:
    """Asked by the name that it has there, answered under the name that was asked for."""
    async with aclosing(model.stream(replace(request, model=there))) as events:
        async for event in events:
            yield Start(event.id, request.model) if isinstance(event, Start) else event
