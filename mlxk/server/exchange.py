"""One address in front of several deployments: names, memory, and looks. Reads no document."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from mlxk.chat.model import ChatModel
from mlxk.contract.errors import MlxkError
from mlxk.server.deployed import Chain, Deployed, Place
from mlxk.server.residency import House, Resident
from mlxk.server.state import ServerState


@dataclass(frozen=True, slots=True)
class Lodger:
    """`needed_bytes` is 0 for one whose process is not ours to end."""

    place: Place
    needed_bytes: int = 0
    keep_alive_s: float | None = None
    pinned: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """`routes`: a name and the deployments that answer in turn; `cloud` answers after them."""

    budget_bytes: int
    lodgers: tuple[Lodger, ...]
    routes: tuple[tuple[str, tuple[str, ...]], ...]
    aliases: Mapping[str, str]
    cloud: tuple[tuple[str, ChatModel], ...] = ()
    most: int | None = None


class Exchange:
    """Who is behind which name now; `arrange` may be called again when the plan has changed."""

    def __init__(self, house: House, state: ServerState) -> None:
        self._house = house
        self._state = state
        self._rooms: dict[str, Resident] = {}
        self._places: dict[str, Place] = {}
        self._former: dict[str, Resident] = {}

    async def arrange(self, plan: Plan) -> None:
        """Those who were here stay, with all that goes on in them; those who run are found."""
        self._house.budget_bytes = plan.budget_bytes
        before, self._rooms = {**self._former, **self._rooms}, {}
        for lodger in plan.lodgers:
            name = lodger.place.name
            room = before.pop(name, None) or self._room(lodger)
            room.needed_bytes, room.pinned = lodger.needed_bytes, lodger.pinned
            room.most, room.keep_alive_s = plan.most, lodger.keep_alive_s
            self._rooms[name] = room
        self._former = before
        # Who stays keeps the place that his room knows, also who is on his way out.
        new = {lodger.place.name: lodger.place for lodger in plan.lodgers}
        self._places = {name: self._places.get(name) or new[name] for name in (*new, *before)}
        self._state.models = {**self._routes(plan), **self._rooms, **dict(plan.cloud)}
        self._state.options = replace(self._state.options, aliases=plan.aliases)
        await self.look()

    async def look(self) -> None:
        """How all are; who came to life by himself is taken in, who is gone holds no memory,
        who is not in the plan any more leaves."""
        for name, room in list(self._former.items()):
            if self._former.get(name) is not room:  # he came back meanwhile
                continue
            if room.may_leave:
                with suppress(MlxkError):
                    await room.unload("user")
            elif not (room.holds_memory or room.is_moving):
                del self._former[name], self._places[name]
                self._house.drop(room)
        await asyncio.gather(*(self._look_at(name, room) for name, room in self._rooms.items()))
        self._house.tell()

    async def leave(self) -> None:
        """What runs goes on, also what is only starting: whoever comes after us finds it."""
        for place in self._places.values():
            place.leave()
        for room in (*self._rooms.values(), *self._former.values()):
            if isinstance(room.held, Deployed):
                await room.held.leave()

    def _room(self, lodger: Lodger) -> Resident:
        place, house = lodger.place, self._house
        room: Resident

        def engine() -> Deployed:
            return Deployed(place, lambda: room.reason, lambda: house.waiting(place.name))

        room = Resident(place.name, engine, lodger.needed_bytes, house, absent=place.absent)
        return room

    def _routes(self, plan: Plan) -> dict[str, ChatModel]:
        """By its own name a deployment is meant, and no other."""
        found: dict[str, ChatModel] = {}
        for name, deployments in plan.routes:
            turns = [(each, self._rooms[each]) for each in deployments if each in self._rooms]
            if turns:
                found[name] = Chain((*turns, *plan.cloud), turns[0][1])
        return found

    async def _look_at(self, name: str, room: Resident) -> None:
        """Who cannot be looked at stays as he was, and so do the others."""
        with suppress(MlxkError):
            held = room.held
            if isinstance(held, Deployed):
                await held.look()
                if held.stats.phase == "failed" and room.may_leave:
                    await room.unload(room.reason)
            elif not room.is_moving and self._places[name].where() is not None:
                await room.ready()
