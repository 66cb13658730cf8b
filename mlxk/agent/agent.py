"""An agent: a session, a model and tools, run on prompts. The door of this package."""

import asyncio
import shlex
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mlxk.agent import events
from mlxk.agent.calls import Caller
from mlxk.agent.confine import Confinement, confinement
from mlxk.agent.events import Event, Sender, StopReason
from mlxk.agent.limits import Budgets, Meter
from mlxk.agent.loop import Loop
from mlxk.agent.prompt import system_prompt
from mlxk.agent.record import Recorder
from mlxk.agent.report import AgentTimings, AgentUsage, CommitInfo, Report
from mlxk.agent.settings import Settings
from mlxk.agent.tools.base import Context, Limits
from mlxk.agent.workspace import Workspace
from mlxk.chat.model import ChatModel
from mlxk.contract.errors import Interrupted, MlxkError
from mlxk.history import diff
from mlxk.history.session import Session
from mlxk.system import clock
from mlxk.system.clock import Clock

Listener = Callable[[Event], object]

_HEARTBEAT_S = 10.0
_REASONS: dict[str, StopReason] = {
    "limit_reached": "limit_reached",
    "loop_detected": "loop_detected",
    "interrupted": "interrupted",
    "empty_answer": "empty_answer",
    "tool_denied": "tool_denied",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: always a report, and the failure if it was one."""

    report: Report
    error: MlxkError | None


class Agent:
    """Works in `session` with `model`. One run at a time."""

    def __init__(
        self,
        session: Session,
        model: ChatModel,
        settings: Settings,
        *,
        budgets: Budgets | None = None,
        limits: Limits | None = None,
        now: Clock = clock.now,
        load_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._session = session
        self._model = model
        self._settings = settings
        self._budgets = budgets or Budgets()
        self._limits = limits or Limits()
        self._now = now
        self._load_s = load_s

    async def run(self, prompt: str, listener: Listener = lambda _: None) -> Ended:
        """Work on `prompt` until done, a limit, a failure or cancellation: all of these return.

        What was done by then is committed. Only a bug, or a disk that refuses the last write,
        raises.
        """
        began = time.monotonic()
        base = self._session.record.code
        run = _Run(self, listener)
        beat = asyncio.create_task(run.heartbeat())
        try:
            error = await _outcome(run.loop.run(prompt))
        finally:
            beat.cancel()
        reason: StopReason = _REASONS.get(error.type, "error") if error else "finished"
        run.sender.send(events.RunFinished(reason, str(error) if error else None))
        return Ended(self._report(run, reason, base, time.monotonic() - began), error)

    def _report(self, run: "_Run", reason: StopReason, before: str, seconds: float) -> Report:
        record, meter, loop = self._session.record, run.meter, run.loop
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
            output=None,
            stop_reason=reason,
            turns=meter.turns,
            tool_calls=tuple(loop.calls),
            files_changed=diff.changes(record.store, before, record.code),
            usage=AgentUsage(
                meter.input_tokens, meter.output_tokens, meter.cached_tokens, meter.peak_context
            ),
            timings=AgentTimings(
                _rounded(self._load_s()),
                _rounded(loop.ttft_s),
                round(loop.model_s, 3),
                round(loop.tools_s, 3),
            ),
            denials=tuple(loop.denials),
            budgets=meter.report(),
            model=self._settings.model,
            api=self._settings.api,
            worktree=str(self._session.worktree),
            confinement=run.confinement.kind,
            duration_s=round(seconds, 3),
            resume=f'mlxk agent --resume {shlex.quote(record.name)} "…"',
        )


class _Run:
    """The parts of one run, put together."""

    def __init__(self, agent: Agent, listener: Listener) -> None:
        session, settings = agent._session, agent._settings
        self._heard = time.monotonic()

        def hear(event: Event) -> None:
            self._heard = time.monotonic()
            listener(event)

        self.sender = Sender(hear, session.id, agent._now)
        self.meter = Meter(agent._budgets)
        self.recorder = Recorder(session, self.sender, agent._now, settings.model)
        self.confinement = _confinement(session, settings)
        tools = settings.toolbox()
        workspace = Workspace.at(session.worktree)
        context = Context(workspace, self.confinement, agent._limits, lambda _: None)
        self.loop = Loop(
            agent._model,
            Caller(tools, context, self.sender),
            self.recorder,
            self.meter,
            self.sender,
            model_name=settings.model,
            system=system_prompt(session.worktree, settings.system),
            tools=[tool.spec for tool in tools],
            sampling=settings.sampling,
        )
        self.sender.send(
            events.RunStarted(
                settings.model,
                settings.api,
                session.branch,
                str(session.worktree),
                self.confinement.kind,
                tuple(events.OfferedTool(t.spec.name, t.spec.parameters) for t in tools),
            )
        )

    async def heartbeat(self) -> None:
        """A sign of life after every ten seconds of silence."""
        while True:
            await asyncio.sleep(_HEARTBEAT_S / 10)
            silent = time.monotonic() - self._heard
            if silent >= _HEARTBEAT_S:
                self.sender.send(events.Heartbeat(round(silent, 1)))


async def _outcome(run: Awaitable[None]) -> MlxkError | None:
    try:
        await run
    except asyncio.CancelledError:
        return Interrupted("interrupted; the work so far is kept")
    except MlxkError as e:
        return e
    return None


def _confinement(session: Session, settings: Settings) -> Confinement:
    if "Bash" not in settings.tools:
        return Confinement("none", session.worktree)
    visible = (session.record.store.common,)
    return confinement(session.worktree, visible=visible, network=settings.network)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
