"""One piece of work in a session: conversation, check, structured result, report."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlxk.agent import events
from mlxk.agent.events import Event, StopReason
from mlxk.agent.leash.recipe import Leash
from mlxk.agent.limits import Budgets
from mlxk.agent.permissions import Answer
from mlxk.agent.report import AgentTimings, AgentUsage, CommitInfo, Report, resume_line
from mlxk.agent.run import Run
from mlxk.agent.scribe import Scribe, regardless
from mlxk.agent.settings import Settings
from mlxk.agent.tools.base import AgentTool, Limits
from mlxk.chat.model import ChatModel
from mlxk.contract import notes
from mlxk.contract.errors import Interrupted, MlxkError
from mlxk.history import diff
from mlxk.history.session import Session
from mlxk.system import clock
from mlxk.system.clock import Clock

Listener = Callable[[Event], object]

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
        scribe: Scribe,
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
        self.scribe = scribe
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
        run = Run(self, listener)
        beat = asyncio.create_task(run.heartbeat())
        try:
            with notes.heard_by(run.warn):
                error = await _outcome(run.carry_out(order))
        finally:
            beat.cancel()
        reason: StopReason = _REASONS.get(error.type, "error") if error else "finished"
        run.sender.send(events.RunFinished(reason, str(error) if error else None))
        seconds = time.monotonic() - began
        return Ended(await regardless(self._report(run, reason, before, seconds)), error)

    async def _report(self, run: Run, reason: StopReason, before: str, seconds: float) -> Report:
        record, meter, loop = self.session.record, run.meter, run.loop
        changed = await self.scribe.do(lambda store: diff.changes(store, before, record.code))
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
            files_changed=changed,
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


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
