"""Deployments whose processes are servers in this one, and an exchange in front of them."""

import asyncio
from dataclasses import replace

import aiohttp
from scripted import Raw

from mlxk.contract.errors import NotRunning
from mlxk.server.app import listening, make_app
from mlxk.server.deployed import Abroad
from mlxk.server.exchange import Exchange, Lodger, Plan
from mlxk.server.line import Where
from mlxk.server.residency import House
from mlxk.server.state import STATE, ServerOptions

_pids = iter(range(1, 1 << 30))


class Office:
    """A place with a diary. `offered`: it starts when it is asked, after `delay_s`."""

    def __init__(self, front, name, model=None, *, offered=False, delay_s=0.0, key=None):
        self.name, self.model = name, model or Raw()
        self._front, self._offered, self._delay_s, self._key = front, offered, delay_s, key
        self._where = self._running = None
        self.log = []

    def where(self):
        return self._where

    def absent(self):
        return "stopped" if self._offered else "failed"

    async def start(self):
        if not self._offered:
            raise NotRunning(f"{self.name} is down")
        self._front.diary.append(f"start {self.name}")
        await asyncio.sleep(self._delay_s)
        return await self.run()

    async def run(self):
        options = ServerOptions(api_key=self._key, log=self.log.append)
        self._running = listening(make_app({"own-name": self.model}, options), 0)
        address = await self._running.__aenter__()
        self._front.opened.push_async_callback(self.die)
        self._where = Where(address.url, self._key, next(_pids))
        return self._where

    def edit(self):
        self._where = replace(self._where, is_stale=True)

    async def stop(self, reason):
        if self._offered:
            self._front.diary.append(f"stop {self.name}: {reason}")
            await asyncio.sleep(self._delay_s)
            await self.die()

    def leave(self):
        self._offered = False

    async def die(self):
        running, self._running, self._where = self._running, None, None
        if running is not None:
            await running.__aexit__(None, None, None)


class Front:
    """`await front.open(routes=…)`, then ask `front.http`."""

    def __init__(self, opened):
        self.opened, self.diary, self.log = opened, [], []
        self.offices, self.plan = {}, None

    async def office(self, name, model=None, *, running=True, **options):
        office = self.offices[name] = Office(self, name, model, **options)
        if running and not options.get("offered"):
            await office.run()
        return office

    async def open(self, *, places=None, wait_s=5.0, options=None, **plan):
        self.app = make_app({}, ServerOptions(log=self.log.append, **(options or {})))
        house = House(0, patience_s=wait_s, places=places, wait_s=wait_s)
        self.exchange = Exchange(house, self.app[STATE])
        self.opened.push_async_callback(self.exchange.leave)
        await self.arrange(**plan)
        address = await self.opened.enter_async_context(listening(self.app, 0))
        session = aiohttp.ClientSession(address.url)
        self.http = await self.opened.enter_async_context(session)
        return self

    async def arrange(self, routes=None, needs=10, budget=1 << 40, cloud=None, keep=None, **more):
        lodgers = [
            Lodger(office, needs if office._offered else 0, keep, not office._offered)
            for office in self.offices.values()
        ]
        abroad = tuple((name, Abroad(name, model)) for name, model in (cloud or {}).items())
        chains = tuple((route, tuple(chain)) for route, chain in (routes or {}).items())
        aliases = more.pop("aliases", {})
        await self.exchange.arrange(Plan(budget, tuple(lodgers), chains, aliases, abroad, **more))

    async def chat(self, model, **body):
        said = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        async with self.http.post("/v1/chat/completions", json=said | body) as reply:
            return reply.status, await reply.json(), reply.headers
