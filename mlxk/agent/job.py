"""One piece of work in a session: conversation, check, structured result, report."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlxk.agent import events, lsp, skills, subagent
from mlxk.agent import leash as leashes
from mlxk.agent.calls import Caller
from mlxk.agent.check import Check
from mlxk.agent.confine import Confinement, confinement
from mlxk.agent.events import Event, Sender, StopReason
from mlxk.agent.leash.leashed import Leashed
from mlxk.agent.leash.recipe import Leash
from mlxk.agent.limits import Budgets, Meter
from mlxk.agent.loop import Loop
from mlxk.agent.permissions import Answer, Gate
from mlxk.agent.prompt import instructions_in, system_prompt
from mlxk.agent.record import Recorder
from mlxk.agent.report import AgentTimings, AgentUsage, CommitInfo, Report, resume_line
from mlxk.agent.settings import Settings
from mlxk.agent.sizes import size
from mlxk.agent.tools.base import AgentTool, Context, Limits
from mlxk.agent.workspace import Workspace
from mlxk.chat.model import ChatModel
from mlxk.chat.types import Request
from mlxk.contract import notes
from mlxk.contract.errors import CheckFailed, Interrupted, LimitReached, LoopDetected, MlxkError
from mlxk.history import diff
from mlxk.history.session import Session
from mlxk.system import clock
from mlxk.system.clock import Clock

Listener = Callable[[Event], object]

_HEARTBEAT_S = 10.0
_SAME_COMPLAINT = 5
_REASONS: dict[str, StopReason] = {
    "limit_reached": "limit_reached",
    "loop_detected": "loop_detected",
    "interrupted": "interrupted",
    "empty_answer": "empty_answer",
    "tool_denied": "tool_denied",
    "check_failed": "check_failed",
    "schema_mismatch": "schema_mismatch",
}


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: words, a command that must pass, a schema that the result must obey.

    `then` is said, one after the other, when the model has done what was asked before.
    """

    prompt: str
    check: str | None = None
    schema: dict[str, Any] | None = None
    then: tuple[str, ...] = ()
    fresh: bool = False  # do not show the model what the session holds already


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a job may use: budgets of the run, limits of a call, and whom to ask for leave."""

    budgets: Budgets = field(default_factory=Budgets)
    limits: Limits = field(default_factory=Limits)
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended: always a report, and the failure if it was one."""

    report: Report
    error: MlxkError | None


class Job:
    """Works in `session` with `model`. One run at a time."""

    def __init__(
        self,
        session: Session,
        model: ChatModel,
        settings: Settings,
        *,
        bounds: Bounds | None = None,
        extra_tools: Sequence[AgentTool] = (),
        now: Clock = clock.now,
        load_s: Callable[[], float | None] = lambda: None,
        depth: int = 0,
        leash: Leash | None = None,
    ) -> None:
        self.session = session
        self.model = model
        self.settings = settings
        self.bounds = bounds or Bounds()
        self.extra_tools = tuple(extra_tools)
        self.now = now
        self.load_s = load_s
        self.depth = depth
        self.leash = leash

    async def run(self, order: Order, listener: Listener = lambda _: None) -> Ended:
        """Work until done, a limit, a failure or cancellation: all of these return.

        What was done by then is committed. Only a bug, or a disk that refuses the last write,
        raises.
        """
        began, before = time.monotonic(), self.session.record.code
        run = Run(self, listener, fresh=order.fresh)
        beat = asyncio.create_task(run.heartbeat())
        try:
            with notes.heard_by(run.warn):
                error = await _outcome(run.carry_out(order))
        finally:
            beat.cancel()
        reason: StopReason = _REASONS.get(error.type, "error") if error else "finished"
        run.sender.send(events.RunFinished(reason, str(error) if error else None))
        return Ended(self._report(run, reason, before, time.monotonic() - began), error)

    def _report(self, run: "Run", reason: StopReason, before: str, seconds: float) -> Report:
        record, meter, loop = self.session.record, run.meter, run.loop
        return Report(
            session=record.id,
            branch=record.branch,
            base=record.base,
            head=record.code,
            commits=tuple(
                CommitInfo(s.id, s.number, s.subject, tuple(c.path for c in s.files))
                for s in run.recorder.commits
            ),
            result=loop.result,
            output=run.output,
            stop_reason=reason,
            turns=meter.turns,
            tool_calls=tuple(loop.calls),
            files_changed=diff.changes(record.store, before, record.code),
            usage=AgentUsage(
                meter.input_tokens, meter.output_tokens, meter.cached_tokens, meter.peak_context
            ),
            timings=AgentTimings(
                _rounded(self.load_s()),
                _rounded(loop.ttft_s),
                round(loop.model_s, 3),
                round(loop.tools_s, 3),
            ),
            denials=tuple(loop.denials),
            budgets=meter.report(),
            model=self.settings.model,
            api=self.settings.api,
            check=run.check.report if run.check else None,
            futures=None,
            landed=None,
            worktree=str(self.session.worktree),
            confinement=run.confinement.kind,
            duration_s=round(seconds, 3),
            resume=resume_line(record.name),
        )


class Run:
    """The parts of one run of a job, put together."""

    def __init__(self, job: Job, listener: Listener, *, fresh: bool) -> None:
        session, settings = job.session, job.settings
        self.job = job
        self._heard = time.monotonic()
        self._has_begun = False
        self._early: list[notes.Note] = []
        self._listener = listener
        self.sender = Sender(self.hear, session.id, job.now)
        self.meter = Meter(job.bounds.budgets)
        self.recorder = Recorder(session, self.sender, job.now, settings.model, fresh=fresh)
        with notes.heard_by(self.warn):
            self.confinement = confined(session, settings)
        self.check: Check | None = None
        self.output: Any = None
        self.loop = _own(self) if job.leash is None else _leashed(self, job.leash)

    async def carry_out(self, order: Order) -> None:
        async with AsyncExitStack() as opened:
            if isinstance(self.loop, Loop):
                self.loop.offer(await _tools(self.job, self, opened))
            await self._begin(self.loop.request(order.prompt))
            await self._work(order)

    async def _work(self, order: Order) -> None:
        for prompt in (order.prompt, *order.then):
            await self.loop.run(prompt)
        if order.check is not None:
            self.check = Check(
                order.check, self.recorder.worktree, self.confinement, self.sender, self.meter
            )
            await self._until_passed(self.check)
        if order.schema is not None:
            self.output = await self.loop.structured(order.schema)

    async def _begin(self, request: Request) -> None:
        job, session = self.job, self.job.session
        prompt, rules = await size(job.model, request), job.settings.permissions
        self.sender.send(
            events.RunStarted(
                job.settings.model,
                job.settings.api,
                session.branch,
                str(session.worktree),
                self.confinement.kind,
                rules.mode,
                rules.allow,
                rules.deny,
                asdict(job.bounds.budgets),
                prompt.tokens,
                prompt.bytes,
                tuple(events.OfferedTool(tool.name, tool.parameters) for tool in request.tools),
            )
        )
        self._has_begun = True
        for early in self._early:
            self.warn(early)

    def warn(self, note: notes.Note) -> None:
        """As an event too; what comes up before the run's first event waits for it."""
        if self._has_begun:
            self.sender.send(events.Warned(note.code, note.message))
        else:
            self._early.append(note)

    async def _until_passed(self, check: Check) -> None:
        """What the check says goes back to the model until it passes or a budget ends."""
        said = Counter[str]()
        while (complaint := await check.run()) is not None:
            said[complaint] += 1
            try:
                self.meter.check()
                if said[complaint] >= _SAME_COMPLAINT:
                    raise LoopDetected("the check said the same five times")
                await self.loop.run(complaint)
            except (LimitReached, LoopDetected) as e:
                message = f"the check did not pass: {check.command}"
                raise CheckFailed(message, hint="look at data.check and the branch") from e

    def hear(self, event: Event) -> None:
        """Pass an event on, ours or a sub-agent's."""
        self._heard = time.monotonic()
        self._listener(event)

    async def heartbeat(self) -> None:
        """A sign of life after every ten seconds of silence."""
        while True:
            await asyncio.sleep(_HEARTBEAT_S / 10)
            silent = time.monotonic() - self._heard
            if self._has_begun and silent >= _HEARTBEAT_S:
                self.sender.send(events.Heartbeat(round(silent, 1)))


def reraise_cancellation() -> None:
    """A job that is cancelled returns what it has; who runs one inside something else goes on."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _outcome(run: Awaitable[None]) -> MlxkError | None:
    try:
        await run
    except asyncio.CancelledError:
        return Interrupted("interrupted; the work so far is kept")
    except MlxkError as e:
        return e
    return None


def _own(run: Run) -> Loop:
    job, session, settings = run.job, run.job.session, run.job.settings
    context = Context(
        Workspace.at(session.worktree), run.confinement, job.bounds.limits, lambda _: None
    )
    gate = Gate(settings.permissions, run.sender, job.bounds.answer)
    return Loop(
        job.model,
        Caller((), context, run.sender, gate),
        run.recorder,
        run.meter,
        run.sender,
        model_name=settings.model,
        system=system_prompt(settings.system, instructions_in(session.worktree)),
        sampling=settings.sampling,
    )


def _leashed(run: Run, leash: Leash) -> Leashed:
    session, settings = run.job.session, run.job.settings
    folder = leashes.folder(session.record.store.home, session.id) / leash.recipe.name
    asked = Request(settings.model, (), sampling=settings.sampling)
    return Leashed(
        leash,
        run.job.model,
        run.recorder,
        run.meter,
        run.sender,
        run.confinement,
        folder=folder,
        asked=asked,
    )


async def _tools(job: Job, run: Run, opened: AsyncExitStack) -> tuple[AgentTool, ...]:
    """The built-in ones by their names, then what the caller brought, servers', then helpers.

    What has processes ends with `opened`.
    """
    settings, worktree = job.settings, job.session.worktree
    folders, home = tuple(map(Path, settings.skills)), job.session.record.store.home
    tools = [*settings.toolbox(), *job.extra_tools, *skills.tools(folders, worktree, home)]
    if lsp.NAME in settings.tools:
        server = lsp.opened(run.confinement, worktree, settings.lsp)
        tools.append(await opened.enter_async_context(server))
    if settings.mcp:
        from mlxk.agent import mcp_tools  # noqa: PLC0415 -- an optional extra, and heavy

        tools += await opened.enter_async_context(mcp_tools.opened(settings.mcp, worktree))
    if subagent.NAME in settings.tools:
        tools.append(subagent.tool(job, run))
    return tuple(tools)


def confined(session: Session, settings: Settings) -> Confinement:
    if settings.permissions.mode == "all":
        return Confinement("none", session.worktree)
    visible = (session.record.store.common,)
    return confinement(session.worktree, visible=visible, network=settings.network)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
