"""Who answers `run`: a server of ours that has the model, else an engine of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from mlxk.chat.model import ChatModel
from mlxk.contract.errors import InvalidValue
from mlxk.engine.named import engine
from mlxk.engine.options import EngineOptions
from mlxk.hub import names
from mlxk.system import running
from mlxk.system.running import Running


@dataclass(frozen=True, slots=True)
class Answerer:
    """`name` is what it calls the model; `load_s` is null where it was loaded before.

    `is_gone`: no question will be answered any more.
    """

    model: ChatModel
    name: str
    load_s: float | None = None
    url: str | None = None
    is_gone: Callable[[], bool] = lambda: False


@asynccontextmanager
async def answerer(
    spec: str, options: EngineOptions | None, *, images: bool = False
) -> AsyncIterator[Answerer]:
    """Ready to answer. An engine that was asked for with options is always one of its own."""
    folder = names.resolve(spec).folder
    if images:
        hint = "ask a server of a vision model: mlxk agent --url URL"
        raise InvalidValue(f"{spec} is answered by an engine that reads text only", hint=hint)
    found = None if options and options != EngineOptions() else running.serving(folder)
    if found is not None:
        async with _remote(*found) as remote:
            yield remote
        return
    async with engine(spec, options) as own:
        await own.ready()
        yield Answerer(own, own.name, own.timings.load_s, is_gone=lambda: own.phase == "failed")


@asynccontextmanager
async def _remote(server: Running, name: str) -> AsyncIterator[Answerer]:
    from mlxk.providers.client import Patience, RemoteModel
    from mlxk.providers.endpoints import endpoint

    there = replace(endpoint("openai", server.url), name="mlxk serve", key=server.key)
    async with RemoteModel(there, patience=Patience(tries=2)) as remote:
        yield Answerer(remote, name, url=server.url)
