"""What the gateway is made of: from documents to who answers, and to processes and back."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from mlxk.chat.model import ChatModel
from mlxk.contract.errors import InvalidDocument, Locked, NotFound, NotRunning
from mlxk.contract.notes import note
from mlxk.deploy import apply, demand, gateway, record, weigh
from mlxk.deploy.document import GATEWAY
from mlxk.deploy.local import Host
from mlxk.deploy.record import Record
from mlxk.deploy.stack import Stack
from mlxk.providers.client import Patience, RemoteModel
from mlxk.providers.endpoints import ENDPOINTS
from mlxk.server.deployed import Abroad
from mlxk.server.exchange import Lodger, Plan
from mlxk.server.line import Where
from mlxk.system import network, process

T = TypeVar("T")
_UNLIMITED = 1 << 62
_FIRST_S, _LONGEST_S = 0.1, 2.0


class Process:
    """A deployment of this home, as the gateway handles it."""

    def __init__(self, host: Host, name: str) -> None:
        self.name = name
        self._host = host
        self._left = False
        self._names: dict[str, str] = {}

    def where(self) -> Where | None:
        found = demand.find(self._host, self.name)
        if found is None:
            return None
        deployment = found.deployment
        own = deployment.engine.name == "mlxk"
        model = None if own else deployment.server.model_id or self._model(found)
        url = network.url(found.host, found.port)
        return Where(url, found.key, found.pid, model, own, found.is_stale)

    def absent(self) -> str:
        return "stopped" if demand.is_offered(self._host, self.name) else "failed"

    async def start(self) -> Where:
        begun = await _patiently(lambda: asyncio.to_thread(demand.begin, self._host, self.name))
        pause = _FIRST_S
        while not await _patiently(lambda: asyncio.to_thread(demand.is_ready, self._host, begun)):
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_S)
        if (where := self.where()) is None:
            raise NotRunning(f"{self.name} was stopped", hint=f"mlxk up {self.name}")
        return where

    async def stop(self, reason: str) -> None:
        if not self._left:
            await self._stop(reason)

    def leave(self) -> None:
        self._left = True

    async def _stop(self, reason: str) -> None:
        await _patiently(lambda: asyncio.to_thread(demand.end, self._host, self.name, reason))

    def _model(self, found: demand.Place) -> str:
        """Found once for each version of the document: the catalog may have to be read."""
        known = self._names.get(found.deployment.digest)
        if known is None:
            known = weigh.reference(found.deployment, self._host.store.home)
            self._names = {found.deployment.digest: known}
        return known


class Cloud:
    """The provider, if the stack allows it and its key is here; else nobody, and no connection."""

    def __init__(self, opened: AsyncExitStack) -> None:
        self._opened = opened
        self._model: RemoteModel | None = None
        self._url: str | None = None

    async def models(self, stack: Stack, key: str | None) -> tuple[tuple[str, ChatModel], ...]:
        if not stack.cloud.enabled or not key:
            return ()
        row = ENDPOINTS[stack.cloud.provider]
        base = (stack.cloud.url or row.base).rstrip("/")
        if self._model is None or self._url != base:
            there = replace(row, base=base, key=key)
            model = RemoteModel(there, patience=Patience(tries=2))
            self._model = await self._opened.enter_async_context(model)
            self._url = base
        return tuple((name, Abroad(name, self._model)) for name in stack.cloud.models)


def plan(host: Host, stack: Stack, cloud: tuple[tuple[str, ChatModel], ...]) -> Plan:
    """What always runs is not ours to unload; what is left of the budget is for the others."""
    assert stack.gateway is not None
    lodgers, left = [], _budget(stack)
    aliases: dict[str, str] = {}
    for name in stack.deployments:
        try:
            target = apply.target(host.store, name)
            deployment = host.store.load(name)
        except (InvalidDocument, NotFound) as e:
            note("left_out", f"{name} is left out: {e}")
            continue
        needed = int((target.memory_gb or 0.0) * 1e9)
        pinned = deployment.autostart != "on-demand"
        left -= needed if pinned else 0
        place = Process(host, name)
        lodgers.append(Lodger(place, 0 if pinned else needed, deployment.keep_alive_s, pinned))
        model = weigh.reference(deployment, host.store.home)
        for alias in (deployment.server.model_id, deployment.model, model):
            aliases.setdefault(alias or name, name)
    routes = [(route, stack.after(route)) for route, _ in stack.routes if route != "*"]
    aliases |= {"*": other} if (other := stack.route("*")) else {}
    first = "standard" if stack.route("standard") else next(iter(stack.deployments), "")
    return Plan(
        max(0, left),
        tuple(lodgers),
        tuple(routes),
        {**aliases, "": first},
        cloud,
        stack.gateway.max_per_model,
    )


@asynccontextmanager
async def recorded(host: Host, port: int) -> AsyncIterator[None]:
    """One that `up` did not start is known all the same; when it ends, it is forgotten."""
    home = host.store.home
    before = record.read(home, GATEWAY) or Record(GATEWAY)
    if before.pid == os.getpid():
        yield
        return
    digest, now = host.store.load(GATEWAY).digest, time.time()
    own = before.of(process.identity())
    own = replace(own, desired="running", held=False, port=port, config_digest=digest)
    record.write(home, replace(own, started_at=now, ready_at=now))
    try:
        yield
    finally:
        record.forget(home, GATEWAY)


def cloud_key(host: Host) -> str | None:
    return os.environ.get(gateway.cloud_key(host.store))


def _budget(stack: Stack) -> int:
    return _UNLIMITED if stack.budget_gb is None else int(stack.budget_gb * 1e9)


async def _patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """`up` may hold the lock for as long as a model takes to load."""
    while True:
        try:
            return await attempt()
        except Locked:
            await asyncio.sleep(_FIRST_S)
