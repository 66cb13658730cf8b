"""The desk: everything a face of the agent needs and nothing that it draws.

    async with Desk(Path.cwd(), settings) as desk:
        tab = desk.new()                      its session begins with the first prompt
        tab = await desk.open("fix-typo")     or goes on; SessionBusy: somebody else writes it
        with tab.feed.subscribe() as news:    the backlog, then what comes
            tab.submit("…")

Tabs work at once and share the models, which open in the background. It lives on one event loop.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from mlxk.agent import compose, config, turns
from mlxk.agent.branches import Branch, branch_infos
from mlxk.agent.desk_held import Made
from mlxk.agent.desk_models import Models, ModelState, Opener
from mlxk.agent.desk_tab import Closed, Tab
from mlxk.agent.job import Bounds
from mlxk.agent.settings import Settings
from mlxk.contract.errors import InvalidValue, NotFound, UsageError
from mlxk.history import trash
from mlxk.history.record import find, records
from mlxk.history.store import Store
from mlxk.system import clock, paths
from mlxk.system.clock import Clock

_MOST_FUTURES = 16
T = TypeVar("T")


class Desk:
    """Tabs over the repository around `folder`, whose new sessions begin with `settings`."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        *,
        bounds: Bounds | None = None,
        check: str | None = None,
        clean: bool = False,
        home: Path | None = None,
        now: Clock = clock.now,
        opener: Opener = compose.chat_model,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.bounds = bounds or Bounds()
        self.check = check
        self.clean = clean
        self.home = home or paths.home()
        self.now = now
        self.models = Models(opener)
        self.tabs: list[Tab] = []
        self._ids = count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> tuple[Closed, ...]:
        """Close every tab and model, whatever cannot be told of one. All work is kept."""
        closing = [asyncio.create_task(tab.close()) for tab in self.tabs]
        if closing:
            await asyncio.wait(closing)
        await self.models.close()
        return tuple(task.result() for task in closing)

    def new(
        self,
        settings: Settings | None = None,
        *,
        check: str | None = None,
        clean: bool | None = None,
    ) -> Tab:
        """An empty tab, like the desk itself unless it is given otherwise. Its model opens."""
        tab = self._tab()
        tab.adopt(settings or tab.settings, check or self.check, clean=clean)
        self.models.open(tab.settings)
        return tab

    async def open(self, spec: str, **given: object) -> Tab:
        """Go on with a session, or from an older commit of one, which forks it.

        The tab that has it already, if one has. SessionNotFound, SessionBusy, HistoryCorrupt;
        `given` settings override the session's own.
        """

        def make(store: Store) -> Made:
            start = compose.start(store, given, resume=spec, default=lambda: self.settings.model)
            return compose.session(store, start, ""), start.settings

        place = await self.reading(lambda store: find(store, spec))
        for tab in self.tabs:
            if place.is_last and tab.session == place.record.id:
                return tab
        return await self._holding(make)

    async def fork(
        self,
        spec: str,
        *,
        step: int | None = None,
        turn: int | None = None,
        name: str | None = None,
        **given: object,
    ) -> Tab:
        """Another future of a session, also of one that is being written now."""

        def make(store: Store) -> Made:
            place = find(store, spec)
            if step is not None or turn is not None:
                place = turns.place(place.record, step, turn)
            start = compose.start(store, given, resume=place.session_commit, default=str)
            settings = own or start.settings
            wanted = name or place.record.name
            fork = compose.fork(store, place, settings, wanted, self.now(), exact=name is not None)
            return fork, settings

        own = next((tab.settings for tab in self.tabs if tab.session == spec), None)
        return await self._holding(make)

    async def futures(self, spec: str, count: int, prompt: str) -> tuple[Tab, ...]:
        """So many forks of a session's last step, each with a seed of its own, all at work."""
        if not 2 <= count <= _MOST_FUTURES:
            raise InvalidValue(f"{count} futures are not between 2 and {_MOST_FUTURES}")
        tabs = tuple([await self.fork(spec) for _ in range(count)])
        for number, tab in enumerate(tabs):
            tab.adopt(tab.settings.varied(number), self.check, clean=None)
            tab.submit(prompt)
        return tabs

    def tab(self, id: int) -> Tab:
        for tab in self.tabs:
            if tab.id == id:
                return tab
        raise NotFound(f"there is no tab {id}")

    async def branches(self) -> tuple[Branch, ...]:
        """Every session of the repository, newest first; those of our own tabs included."""
        return await self.reading(lambda store: branch_infos(store, records(store)))

    async def remove(self, spec: str, *, force: bool = False) -> str:
        """Put a session away into the trash; its branch's name. UnmergedBranch without `force`."""

        def work(store: Store) -> str:
            record = find(store, spec).record
            if any(tab.session == record.id for tab in self.tabs):
                raise UsageError(f"{record.branch} is open in a tab", hint="close the tab first")
            if not force:
                trash.require_landed(store, record)
            trash.discard(store, record, self.now())
            return record.branch

        return await self.reading(work)

    def model_states(self) -> tuple[ModelState, ...]:
        """Of every model in use, with the figures of its engine."""
        return self.models.states()

    async def reading(self, look: Callable[[Store], T]) -> T:
        """Call `look` in a thread, with a store of its own."""

        def work() -> T:
            with Store.open(self.folder, self.home) as store:
                return look(store)

        return await asyncio.to_thread(work)

    def configured(self, name: str) -> tuple[Settings, Bounds, str | None]:
        """What an agent's file asks for, over the desk's own settings."""
        found = config.load(name, (self.folder / "agents", self.home / "agents"))
        settings = self.settings.overridden(dict(found.given))
        return settings, Bounds(found.budgets, found.limits), found.check

    # For tabs

    async def forget(self, tab: Tab) -> None:
        self.tabs = [other for other in self.tabs if other is not tab]
        await self.tidy()

    async def tidy(self) -> None:
        """Close models that no tab names; the desk's own stays for the next tab."""
        await self.models.keep([self.settings, *(s for tab in self.tabs for s in tab.used())])

    def _tab(self) -> Tab:
        tab = Tab(self, next(self._ids), self.settings, self.bounds, self.check)
        self.tabs.append(tab)
        return tab

    async def _holding(self, make: Callable[[Store], Made]) -> Tab:
        tab = self._tab()
        try:
            await tab.hold(make)
        except BaseException:
            self.tabs.remove(tab)
            raise
        return tab
