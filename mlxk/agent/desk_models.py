"""The models of a desk: each opened once, in the background, shared by all tabs that name it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Literal

from mlxk.agent.compose import Model
from mlxk.agent.settings import Settings
from mlxk.engine.options import EngineStats

Opener = Callable[[Settings], AbstractAsyncContextManager[Model]]
Phase = Literal["opening", "ready", "failed"]
_Key = tuple[str, str, str | None]


@dataclass(frozen=True, slots=True)
class ModelState:
    """`context` is its length in tokens; `engine` the figures of an engine of ours."""

    name: str
    api: str
    phase: Phase
    error: str | None = None
    context: int | None = None
    engine: EngineStats | None = None


class _Opened:
    """One model and the task that opens it."""

    def __init__(self, settings: Settings, opener: Opener) -> None:
        self.name, self.api = settings.model, settings.api
        self._stack = AsyncExitStack()
        self._context: int | None = None
        self.opening = asyncio.create_task(self._open(opener(settings)))
        self.opening.add_done_callback(lambda _: self.error)

    @property
    def error(self) -> BaseException | None:
        task = self.opening
        return task.exception() if task.done() and not task.cancelled() else None

    def state(self) -> ModelState:
        if self.error is not None:
            return ModelState(self.name, self.api, "failed", str(self.error))
        if not self.opening.done():
            return ModelState(self.name, self.api, "opening")
        figures = self.opening.result().stats()
        return ModelState(self.name, self.api, "ready", None, self._context, figures)

    async def close(self) -> None:
        self.opening.cancel()
        await asyncio.wait({self.opening})
        await self._stack.aclose()

    async def _open(self, entering: AbstractAsyncContextManager[Model]) -> Model:
        async with AsyncExitStack() as stack:
            model = await stack.enter_async_context(entering)
            self._context = await model.ready()
            self._stack = stack.pop_all()
            return model


class Models:
    """Opens on first use; one that failed to open is tried again when it is asked for."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._known: dict[_Key, _Opened] = {}

    def open(self, settings: Settings) -> asyncio.Task[Model]:
        """Begin to open it, or to try again; returns at once."""
        known = self._known.get(_key(settings))
        if known is None or known.error is not None:
            known = self._known[_key(settings)] = _Opened(settings, self._opener)
        return known.opening

    async def get(self, settings: Settings) -> Model:
        """Wait for it. Whoever stops waiting does not stop the opening. Raises why it cannot be."""
        return await asyncio.shield(self.open(settings))

    def state(self, settings: Settings) -> ModelState:
        known = self._known.get(_key(settings))
        if known is None:
            return ModelState(settings.model, settings.api, "opening")
        return known.state()

    def states(self) -> tuple[ModelState, ...]:
        return tuple(known.state() for known in self._known.values())

    async def keep(self, used: list[Settings]) -> None:
        """Close every model that none of `used` names."""
        left = self._known.keys() - {_key(settings) for settings in used}
        closing = [self._known.pop(key) for key in left]
        await asyncio.gather(*(known.close() for known in closing))

    async def close(self) -> None:
        await self.keep([])


def _key(settings: Settings) -> _Key:
    return (settings.model, settings.api, settings.url)
