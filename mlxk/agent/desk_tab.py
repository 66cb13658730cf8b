"""A tab: one session with its own agent, its conversation as news, and what a person may do to it.

Prints nothing and draws nothing: every face shows the news and calls these methods.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlxk.agent import branches, compose, desk_look, landing, rehearsal, turns
from mlxk.agent.check import Check
from mlxk.agent.compose import Start
from mlxk.agent.desk_aside import Aside
from mlxk.agent.desk_held import Held, Made
from mlxk.agent.desk_look import Changes, History
from mlxk.agent.desk_models import ModelState
from mlxk.agent.desk_news import Feed, Notice, Prompted, Settled, State
from mlxk.agent.desk_work import Work
from mlxk.agent.events import PermissionAsked, Sender
from mlxk.agent.job import Bounds, Job, Order
from mlxk.agent.limits import Meter
from mlxk.agent.run import confined
from mlxk.agent.scribe import Scribe
from mlxk.agent.settings import Settings
from mlxk.agent.transcript import from_lines
from mlxk.chat.types import Tool
from mlxk.contract.envelope import ErrorInfo
from mlxk.contract.errors import MlxkError, UsageError
from mlxk.history.land import Landed
from mlxk.history.record import Place, Step
from mlxk.history.session import Session
from mlxk.history.store import Store

if TYPE_CHECKING:
    from mlxk.agent.desk import Desk


@dataclass(frozen=True, slots=True)
class Status:
    """What a status line shows. `context` is the last prompt with its answer, in tokens."""

    tab: int
    name: str
    state: State
    branch: str | None
    session: str | None
    folder: str
    model: ModelState
    permissions: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    context: int
    queued: int
    questions: tuple[PermissionAsked, ...]


@dataclass(frozen=True, slots=True)
class Closed:
    """`unmerged`: the branch holds work that has not landed. It is kept either way."""

    branch: str | None
    unmerged: bool


class Tab:
    """Made by `Desk`. A tab without a session gets one with its first prompt.

    Methods raise MlxkError for what cannot be done now; how a run fails is told as news.
    """

    def __init__(
        self, desk: "Desk", id: int, settings: Settings, bounds: Bounds, check: str | None
    ) -> None:
        self.id = id
        self.settings = settings
        self.feed = Feed(desk.now)
        self._desk = desk
        self._bounds = bounds
        self._held = Held(desk.folder, desk.home)
        self._work = Work(self.feed)
        self._aside = Aside(self.feed)
        self._queue: deque[Order] = deque()
        self._check = check
        self._clean = desk.clean
        self._before: str | None = None  # the code before the last prompt
        self._running: Settings | None = None

    @property
    def state(self) -> State:
        return self._work.state

    @property
    def is_running(self) -> bool:
        return self._work.is_running

    @property
    def is_busy(self) -> bool:
        """Whether there is anything to abort: a run, or a command of the person's."""
        return self.is_running or self._aside.is_running

    @property
    def errors(self) -> tuple[ErrorInfo, ...]:
        """The last hundred failures."""
        return tuple(self._work.errors)

    @property
    def branch(self) -> str | None:
        return self._held.session.branch if self._held.session else None

    @property
    def session(self) -> str | None:
        return self._held.session.id if self._held.session else None

    @property
    def folder(self) -> Path:
        """Where the person's own commands run: the worktree; the checkout while there is none."""
        return self._held.session.worktree if self._held.session else self._desk.folder

    def status(self) -> Status:
        return Status(
            self.id,
            self._held.session.name if self._held.session else "new",
            self.state,
            self.branch,
            self.session,
            str(self.folder),
            self._desk.models.state(self.settings),
            self.settings.permissions.mode,
            *self._work.tokens,
            self._work.context,
            len(self._queue),
            self._work.questions,
        )

    # Work

    def submit(self, prompt: str) -> None:
        """Give the agent something to do; while it works, the prompt waits for its turn."""
        if not prompt.strip():
            raise UsageError("the prompt is empty")
        self._require_open()
        self.feed.tell(Prompted(prompt, queued=self.is_running))
        words = "\n\n".join([prompt, *self._aside.heard()])
        self._queue.append(Order(words, self._check))
        if not self.is_running:
            self._next()

    async def abort(self) -> tuple[str, ...]:
        """Stop what runs; its work is kept. Returns the prompts that still waited."""
        waiting = tuple(order.prompt for order in self._queue)
        self._queue.clear()
        await self._aside.stop()
        await self._work.abort()
        return waiting

    async def wait(self) -> None:
        """Return when the agent has nothing more to do."""
        await self._work.wait()

    def answer(self, id: str, allow: bool, *, always: bool = False) -> None:
        """Answer a permission question; `always`: for this tool, as long as the tab lives."""
        self._work.answer(id, allow, always=always)

    def check(self, command: str) -> None:
        """Run `command`, confined, in the worktree. While it fails, the model works on."""
        session, _ = self._held.required()
        self._work.require_rest()
        self._work.start(self._checked(session, command), self._next)

    async def command(self, line: str) -> None:
        """Run a shell line of the person's in `folder`. The next prompt tells the model of it."""
        self._require_open()
        if await self._aside.run(line, self.folder):
            await self.record_files(f"! {line}")

    async def record_files(self, subject: str) -> None:
        """Commit what the person changed in the worktree by other means."""
        if self._held.session is not None:
            now, title = self._desk.now(), subject[:72]
            await self._held.write(lambda s: s.append(b"", when=now, paths=None, subject=title))

    async def undo(self, *, step: int | None = None, turn: int | None = None) -> Step:
        """Files and conversation as they were; without a step or turn, before the last prompt."""
        self._held.required()
        self._work.require_rest()

        def undo(session: Session) -> Step:
            back = step
            if step is None and turn is None:
                back = turns.before_last_prompt(session.record)
            back = turns.place(session.record, back, turn).step
            return session.undo(back, when=self._desk.now())

        done = await self._held.write(undo)
        self.feed.clear()
        await self._replay()
        return done

    async def land(
        self,
        *,
        into: str | None = None,
        new: str | None = None,
        how: Literal["squash", "merge"] = "squash",
    ) -> Landed:
        """Bring the work to a branch of the user's; by default the one that is checked out."""
        self._work.require_rest()
        now = self._desk.now()
        return await self._held.read(
            lambda store, place: landing.bring(store, place, now, into=into, new=new, how=how)
        )

    # Looking

    async def diff(self, *, since_start: bool = False) -> Changes:
        """What the last prompt changed, or all since the start."""

        def look(store: Store, place: Place) -> Changes:
            base = place.record.base
            old = base if since_start else self._before or base
            return desk_look.changes(store, old, place.code)

        return await self._held.read(look)

    async def history(self) -> History:
        return await self._held.read(lambda _, place: desk_look.history(place))

    async def export(self, *, raw: bool = False) -> str:
        """The session as Markdown, or as NDJSON."""
        return await self._held.read(lambda _, place: desk_look.exported(place, raw=raw))

    async def is_unmerged(self) -> bool:
        return self.session is not None and await self._held.read(desk_look.is_unmerged)

    def tools(self) -> tuple[Tool, ...]:
        """What the model may call: as the last run began, else without starting any server."""
        found = rehearsal.offered(self.settings, self.folder, self._desk.home)
        if last := self._work.offered:
            known = {tool.name: tool for tool in found}
            return tuple(known.get(tool.name) or Tool(tool.name, "", {}) for tool in last)
        later = "known as soon as this server has been started"
        return (*found, *(Tool(f"mcp__{each.name}__*", later, {}) for each in self.settings.mcp))

    # Its settings, and its end

    async def clear(self, config: str | None = None) -> Closed:
        """Begin anew: the session is let go of as it is; the next prompt starts another."""
        self._work.require_rest()
        changed = self._desk.configured(config) if config is not None else None
        closed = Closed(self.branch, await self.is_unmerged())
        await self._held.let_go()
        if changed is not None:
            self.settings, self._bounds, self._check = changed
        self._before = None
        self._aside.heard()
        self._work.forget()
        self._work.to("idle")
        self.feed.clear()
        await self._settle()
        return closed

    async def set_model(
        self, model: str, *, api: str | None = None, url: str | None = None
    ) -> None:
        """From the next prompt on; the conversation stays. It begins to open at once."""
        api = api or ("openai" if url else self.settings.api)
        self.settings = replace(self.settings, model=model, api=api, url=url)
        await self._settle()

    async def close(self) -> Closed:
        """Stop what runs and let go of the session: its work and conversation are kept."""
        await self.abort()
        try:
            return Closed(self.branch, await self.is_unmerged())
        finally:  # also when the repository cannot be read any more
            await self._held.let_go()
            self._work.to("closed")
            await self._desk.forget(self)

    # For the desk

    def adopt(self, settings: Settings, check: str | None, *, clean: bool | None) -> None:
        """Before its first prompt: what it begins with."""
        self.settings, self._check = settings, check
        self._clean = self._clean if clean is None else clean

    async def hold(self, make: Callable[[Store], Made]) -> None:
        """Make, fork or open the tab's session, and show what was said in it."""
        self.settings = await self._held.open(make)
        self._before = self._held.required()[0].record.code
        await self._replay()
        rest: State = await self._held.write(lambda session: branches.rest(session.record))
        self._work.to(rest)
        await self._settle()

    def used(self) -> list[Settings]:
        """Settings whose models must stay open."""
        return [self.settings, *([self._running] if self._running and self.is_running else [])]

    # How it works

    def _next(self) -> None:
        if self._queue:
            order = self._queue.popleft()
            self._work.start(self._run(order), self._next)

    async def _run(self, order: Order) -> MlxkError | None:
        settings = self._running = self.settings
        session, scribe = await self._session_for(order.prompt, settings)  # while the model opens
        model = await self._desk.models.get(settings)
        self._before = session.record.code
        bounds = replace(self._bounds, answer=self._work.ask)
        job = Job(
            session,
            scribe,
            model.chat,
            settings,
            bounds=bounds,
            now=self._desk.now,
            load_s=model.load_s,
        )
        ended = await job.run(order, lambda event: self._work.hear(event, session.id))
        return ended.error

    async def _session_for(self, prompt: str, settings: Settings) -> tuple[Session, Scribe]:
        if self._held.session is None:
            clean, hindrances = self._clean, list[MlxkError | None]()

            def make(store: Store) -> Made:
                hindrances.append(landing.hindrance(store))
                return compose.session(store, Start(settings, None), prompt, clean=clean), settings

            self._desk.models.open(settings)
            await self._held.open(make, keep=False)
            self._tell_settled()
            for error in filter(None, hindrances):
                text = f"as things are, this could not land: {error}"
                self.feed.tell(Notice("warning", text, error.hint))
        return self._held.required()

    async def _replay(self) -> None:
        """Tell the conversation so far."""
        lines = await self._held.write(lambda session: session.record.lines())
        for payload in desk_look.replayed(from_lines(lines)):
            self.feed.tell(payload, self.session)

    async def _checked(self, session: Session, command: str) -> MlxkError | None:
        sender = Sender(self.feed.pass_on, session.id, self._desk.now)
        inside = confined(session, self.settings)
        check = Check(command, session.worktree, inside, sender, Meter(self._bounds.budgets))
        complaint = await check.run()
        return await self._run(Order(complaint, command)) if complaint else None

    async def _settle(self) -> None:
        """The model that is named now opens in the background; one that nobody names is closed."""
        self._desk.models.open(self.settings)
        self._tell_settled()
        await self._desk.tidy()

    def _tell_settled(self) -> None:
        settings = self.settings
        self.feed.tell(Settled(self.branch, self.session, settings.model, settings.api))

    def _require_open(self) -> None:
        if self.state == "closed":
            raise UsageError("this tab is closed")
