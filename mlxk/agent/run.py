"""One run of a job: its parts put together, begun, carried to its end. `Job` makes the report."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlxk.agent import events, lsp, skills, subagent
from mlxk.agent import leash as leashes
from mlxk.agent.calls import Caller
from mlxk.agent.check import Check
from mlxk.agent.confine import Confinement, confinement
from mlxk.agent.events import Event, Sender
from mlxk.agent.leash.leashed import Leashed
from mlxk.agent.leash.recipe import Leash
from mlxk.agent.limits import Meter
from mlxk.agent.loop import Loop
from mlxk.agent.permissions import Gate
from mlxk.agent.prompt import instructions_in, system_prompt
from mlxk.agent.record import Recorder
from mlxk.agent.settings import Settings, to_meta
from mlxk.agent.sizes import size
from mlxk.agent.tools.base import AgentTool, Context
from mlxk.agent.workspace import Workspace
from mlxk.chat.types import Request
from mlxk.contract import notes
from mlxk.contract.errors import CheckFailed, LimitReached, LoopDetected
from mlxk.history.session import Session

if TYPE_CHECKING:
    from mlxk.agent.job import Job, Listener, Order

_HEARTBEAT_S = 10.0
_SAME_COMPLAINT = 5


class Run:
    """The parts of one run of a job, put together."""

    def __init__(self, job: "Job", listener: "Listener") -> None:
        session, settings = job.session, job.settings
        self.job = job
        self._heard = time.monotonic()
        self._has_begun = False
        self._early: list[notes.Note] = []
        self._listener = listener
        self.sender = Sender(self.hear, session.id, job.now)
        self.meter = Meter(job.bounds.budgets)
        self.recorder = Recorder(session, job.scribe, self.sender, job.now, settings.model)
        with notes.heard_by(self.warn):
            self.confinement = confined(session, settings)
        self.check: Check | None = None
        self.output: Any = None
        self.loop = _own(self) if job.leash is None else _leashed(self, job.leash)

    async def carry_out(self, order: "Order") -> None:
        await self.recorder.begin(to_meta(self.job.settings), fresh=order.fresh)
        async with AsyncExitStack() as opened:
            if isinstance(self.loop, Loop):
                self.loop.offer(await _tools(self.job, self, opened))
            await self._begin(self.loop.request(order.prompt))
            await self._work(order)

    async def _work(self, order: "Order") -> None:
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


async def _tools(job: "Job", run: Run, opened: AsyncExitStack) -> tuple[AgentTool, ...]:
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
