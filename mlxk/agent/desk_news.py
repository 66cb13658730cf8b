"""What a tab of a desk tells: a bounded backlog, and subscriptions that never grow without end."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from mlxk.agent import events
from mlxk.system.clock import Clock, stamp

State = Literal["idle", "running", "asking", "interrupted", "failed", "closed"]

BACKLOG_CHARACTERS = 2_000_000
_BEHIND = 2  # backlogs that a listener may lag before it starts again
_PIECE = 4_096
_OVERHEAD = 64  # characters that any piece of news counts at least


@dataclass(frozen=True, slots=True)
class Prompted:
    """What a person asked for. `queued`: it waits until the present run has ended."""

    type: ClassVar[str] = "prompt"
    text: str
    queued: bool


@dataclass(frozen=True, slots=True)
class StateChanged:
    type: ClassVar[str] = "state"
    state: State


@dataclass(frozen=True, slots=True)
class Settled:
    """The tab's session, branch or model is another one now; `status()` says which."""

    type: ClassVar[str] = "settled"
    branch: str | None
    session: str | None
    model: str
    api: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A word of the desk itself; `error` is the type of the failure, if it is one."""

    type: ClassVar[str] = "notice"
    level: Literal["info", "warning", "error"]
    text: str
    hint: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CommandStarted:
    """A command that the person typed, not the model."""

    type: ClassVar[str] = "command.started"
    command: str
    folder: str


@dataclass(frozen=True, slots=True)
class CommandOutput:
    type: ClassVar[str] = "command.output"
    text: str


@dataclass(frozen=True, slots=True)
class CommandFinished:
    type: ClassVar[str] = "command.finished"
    exit_code: int
    dropped_bytes: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The listener fell too far behind: forget what was shown, the backlog follows."""

    type: ClassVar[str] = "reset"


DeskPayload = (
    Prompted
    | StateChanged
    | Settled
    | Notice
    | CommandStarted
    | CommandOutput
    | CommandFinished
    | Reset
)
_GROWING = (events.TextDelta, events.ThinkingDelta, events.ToolOutput, CommandOutput)


@dataclass(frozen=True, slots=True)
class News:
    """An event of an agent, or of the desk. `number` grows; a backlog leaves some out.

    `session` and `turn` say whose event it is: a helper's differ from the tab's own.
    """

    number: int
    type: str
    ts: str
    session: str | None
    turn: int
    data: Any


class Feed:
    """The news of one tab. Lives on one event loop."""

    def __init__(self, clock: Clock, limit: int = BACKLOG_CHARACTERS) -> None:
        self._clock = clock
        self._limit = limit
        self._kept: deque[News] = deque()
        self._size = 0
        self._number = 0
        self._listeners: list[Subscription] = []
        self.forgotten = 0  # how many of the oldest are not in the backlog any more

    def tell(self, payload: DeskPayload | events.Payload, session: str | None = None) -> None:
        self._publish(payload.type, stamp(self._clock()), session, 0, payload)

    def pass_on(self, event: events.Event) -> None:
        """An event of an agent, as it is."""
        self._publish(event.type, event.ts, event.session, event.turn, event.data)

    def backlog(self) -> tuple[News, ...]:
        """What is still known, oldest first. Pieces of one text are joined."""
        return tuple(self._kept)

    def subscribe(self, *, backlog: bool = True) -> "Subscription":
        """The backlog first, unless it is not wanted, then all that comes. Close it when done."""
        listener = Subscription(self, self._limit * _BEHIND, self.backlog() if backlog else ())
        self._listeners.append(listener)
        return listener

    def clear(self) -> None:
        """Forget everything; every listener is told to."""
        self._kept.clear()
        self._size = 0
        for listener in self._listeners:
            listener.restart()

    def drop(self, listener: "Subscription") -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    def _publish(self, type: str, ts: str, session: str | None, turn: int, data: Any) -> None:
        self._number += 1
        news = News(self._number, type, ts, session, turn, data)
        self._keep(news)
        for listener in self._listeners:
            listener.put(news)

    def _keep(self, news: News) -> None:
        last = self._kept[-1] if self._kept else None
        joined = _joined(last, news) if last else None
        if last and joined:
            self._size += weight(joined) - weight(last)
            self._kept[-1] = joined
        else:
            self._size += weight(news)
            self._kept.append(news)
        while self._size > self._limit and len(self._kept) > 1:
            self._size -= weight(self._kept.popleft())
            self.forgotten += 1


class Subscription:
    """One listener. `async for news in subscription`, or `await subscription.batch()`."""

    def __init__(self, feed: Feed, limit: int, first: tuple[News, ...]) -> None:
        self._feed = feed
        self._limit = limit
        self._waiting: deque[News] = deque(first)
        self._size = sum(map(weight, self._waiting))
        self._arrived = asyncio.Event()
        self._closed = False

    async def batch(self) -> tuple[News, ...]:
        """All that has come since the last call, at least one; nothing when closed."""
        while not self._waiting and not self._closed:
            self._arrived.clear()
            await self._arrived.wait()
        return self.take()

    def take(self) -> tuple[News, ...]:
        """The same without waiting."""
        batch = tuple(self._waiting)
        self._waiting.clear()
        self._size = 0
        return batch

    async def __aiter__(self) -> AsyncIterator[News]:
        while batch := await self.batch():
            for news in batch:
                yield news

    def put(self, news: News) -> None:
        self._waiting.append(news)
        self._size += weight(news)
        if self._size > self._limit:
            self.restart()
        self._arrived.set()

    def restart(self) -> None:
        """Begin again with what the feed still knows."""
        backlog = self._feed.backlog()
        first = backlog[0] if backlog else None
        reset = News(0, Reset.type, first.ts if first else "", None, 0, Reset())
        self._waiting = deque((reset, *backlog))
        self._size = sum(map(weight, self._waiting))
        self._arrived.set()

    def close(self) -> None:
        self._closed = True
        self._feed.drop(self)
        self._waiting.clear()
        self._arrived.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def weight(news: News) -> int:
    """About how many characters it keeps in memory."""
    data = news.data
    texts = (getattr(data, name, None) for name in ("text", "arguments", "output"))
    return _OVERHEAD + sum(len(text) for text in texts if isinstance(text, str))


def _joined(last: News, news: News) -> News | None:
    """Two pieces of one text as one; None when they are none, or long enough."""
    if last.type != news.type or last.session != news.session or last.turn != news.turn:
        return None
    if not isinstance(news.data, _GROWING) or len(last.data.text) + len(news.data.text) > _PIECE:
        return None
    if isinstance(news.data, events.ToolOutput) and last.data.id != news.data.id:
        return None
    return replace(news, data=replace(news.data, text=last.data.text + news.data.text))
