"""The web socket of one page: what every tab tells, as it comes, and when to look again."""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from aiohttp import web

from mlxk.agent import events
from mlxk.agent.desk import Desk
from mlxk.agent.desk_models import ModelState
from mlxk.agent.desk_news import News
from mlxk.agent.desk_tab import Tab
from mlxk.contract import encoding
from mlxk.contract.errors import MlxkError
from mlxk.history.liveness import is_held
from mlxk.history.record import SESSIONS
from mlxk.history.store import Store
from mlxk.history.trash import TRASH
from mlxk.web.conversation import SHOWN

_FRAME_S = 0.02  # what comes in this time is one message
_LOOK_S = 0.5
_GROWING = ("text.delta", "thinking.delta", "tool.output")


@dataclass(slots=True)
class Watch:
    """Looks at the repository for all pages: other processes write sessions, too."""

    desk: Desk
    boot: str = field(default_factory=lambda: secrets.token_hex(8))
    readers: int = 0
    seen: tuple[Any, ...] = ()
    version: int = 0

    async def run(self) -> None:
        while True:
            if self.readers:
                await self.look()
            await asyncio.sleep(2 * _LOOK_S)

    async def look(self) -> None:
        with suppress(OSError, MlxkError):  # the repository may be moved away for a while
            now = await self.desk.reading(_signature)
            if now != self.seen:
                self.seen = now
                self.version += 1


class Page:
    """One socket. Everything it sends goes through `_send`: a slow reader slows its own pumps."""

    def __init__(self, socket: web.WebSocketResponse, watch: Watch) -> None:
        self._socket = socket
        self._watch = watch
        self._desk = watch.desk
        self._pumps: dict[int, asyncio.Task[None]] = {}
        self._told: dict[tuple[str, int], Any] = {}

    async def serve(self) -> None:
        """Until the page leaves. A bug ends the socket, too: the page then comes back by itself."""
        await self._send({"kind": "hello", "boot": self._watch.boot})
        tasks = {asyncio.create_task(self._listen()), asyncio.create_task(self._look())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tasks |= set(self._pumps.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        async for _ in self._socket:
            pass  # a page says nothing here; what it wants done are requests

    async def _look(self) -> None:
        version = self._watch.version
        while True:
            await self._follow_tabs()
            await self._tell("figures", [figures(each) for each in self._desk.model_states()])
            if version != self._watch.version:
                version = self._watch.version
                await self._send({"kind": "sessions"})
            await asyncio.sleep(_LOOK_S / 5)

    async def _follow_tabs(self) -> None:
        there = {tab.id: tab for tab in self._desk.tabs}
        for id in [id for id in self._pumps if id not in there]:
            self._pumps.pop(id).cancel()
            self._told.pop(("status", id), None)
            await self._send({"kind": "gone", "tab": id})
        for id, tab in there.items():
            await self._tell_status(tab)
            if id in self._pumps and self._pumps[id].done():
                self._pumps[id].result()
            elif id not in self._pumps:
                self._pumps[id] = asyncio.create_task(self._pump(tab))

    async def _pump(self, tab: Tab) -> None:
        said: dict[str, int] = {}
        with tab.feed.subscribe() as news:
            while batch := await news.batch():
                shown = [short for each in joined(batch) if (short := shortened(each, said))]
                await self._tell_status(tab)
                await self._send({"kind": "news", "tab": tab.id, "news": shown})
                await asyncio.sleep(_FRAME_S)

    async def _tell_status(self, tab: Tab) -> None:
        status = tab.status()
        await self._tell(
            "status", replace(status, model=replace(status.model, engine=None)), tab.id
        )

    async def _tell(self, kind: str, value: Any, whose: int = 0) -> None:
        """What is as it was is not told again."""
        if self._told.get((kind, whose)) != value:
            self._told[kind, whose] = value
            await self._send({"kind": kind, kind: value})

    async def _send(self, message: dict[str, Any]) -> None:
        with suppress(ConnectionError):
            await self._socket.send_str(encoding.dumps(message).decode())


def figures(model: ModelState) -> dict[str, Any]:
    """What a person may want to know; what changes with each look is left out."""
    engine = model.engine
    told = {"name": model.name, "phase": model.phase, "error": model.error}
    if engine is None:
        return told
    return {
        **told,
        "engine": engine.phase,
        "active": engine.active_sequences,
        "queued": engine.queued,
        "restarts": engine.restarts,
    }


def joined(batch: tuple[News, ...]) -> list[News]:
    """Pieces of one text that follow each other become one."""
    kept: list[News] = []
    for news in batch:
        last = kept[-1] if kept else None
        if last and news.type in _GROWING and _same_text(last, news):
            kept[-1] = replace(news, data=replace(news.data, text=last.data.text + news.data.text))
        else:
            kept.append(news)
    return kept


def shortened(news: News, said: dict[str, int]) -> dict[str, Any] | None:
    """As JSON, texts cut at what a page shows; None when all was said. `said` counts by call."""
    data = news.data
    fields: dict[str, Any] = {}
    match data:
        case events.ToolStarted():
            said[data.id] = 0
        case events.ToolOutput():
            left = SHOWN - said.get(data.id, 0)
            said[data.id] = said.get(data.id, 0) + len(data.text)
            if left <= 0:
                return None
            fields = {"text": data.text[:left]}
        case events.ToolFinished():
            fields = {"text": data.text[:SHOWN], "size": len(data.text)}
        case events.RunStarted():
            return {"type": news.type, "session": news.session, "turn": news.turn, "data": {}}
    plain = asdict(data) | fields
    return {"type": news.type, "session": news.session, "turn": news.turn, "data": plain}


def _same_text(a: News, b: News) -> bool:
    same = (a.type, a.session, a.turn) == (b.type, b.session, b.turn)
    return same and getattr(a.data, "id", None) == getattr(b.data, "id", None)


def _signature(store: Store) -> tuple[Any, ...]:
    """What tells that some session is not as it was: refs, and who is being written."""
    refs = tuple(store.refs.under(SESSIONS))
    held = tuple(is_held(store, ref.removeprefix(SESSIONS)) for ref, _ in refs)
    return refs, held, tuple(store.refs.under(TRASH)), store.head(), store.head_name()
