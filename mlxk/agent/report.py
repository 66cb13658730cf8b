"""What a run amounts to: the `data` of `mlxk agent --json`."""

import shlex
from dataclasses import dataclass
from typing import Any

from mlxk.agent.calls import CallRecord, Denial
from mlxk.agent.check import CheckReport
from mlxk.agent.events import StopReason
from mlxk.history.diff import FileChange


@dataclass(frozen=True, slots=True)
class CommitInfo:
    id: str
    step: int
    subject: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgentUsage:
    """Tokens over all turns; `peak_context` is the longest single prompt with its answer."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    peak_context: int


@dataclass(frozen=True, slots=True)
class AgentTimings:
    load_s: float | None
    ttft_s: float | None
    model_s: float
    tools_s: float


@dataclass(frozen=True, slots=True)
class Future:
    """One of several tries from one point; `passed` is null without a check."""

    session: str
    branch: str
    head: str
    stop_reason: StopReason
    passed: bool | None
    additions: int
    deletions: int
    winner: bool


@dataclass(frozen=True, slots=True)
class Landed:
    """Where the work went: a branch of the user's, its commit, and how to take that back."""

    branch: str
    commit: str
    undo: str | None  # null: there was nothing to land


@dataclass(frozen=True, slots=True)
class Report:
    """Field names and order are those of schemas/agent.schema.json."""

    session: str
    branch: str
    base: str
    head: str
    commits: tuple[CommitInfo, ...]
    result: str
    output: Any
    stop_reason: StopReason
    turns: int
    tool_calls: tuple[CallRecord, ...]
    files_changed: tuple[FileChange, ...]
    usage: AgentUsage
    timings: AgentTimings
    denials: tuple[Denial, ...]
    budgets: dict[str, tuple[float, float | None]]
    model: str
    api: str
    check: CheckReport | None
    futures: tuple[Future, ...] | None
    landed: Landed | None
    worktree: str
    confinement: str
    duration_s: float
    resume: str


def resume_line(name: str) -> str:
    """What to type to go on with the session of that name."""
    return f'mlxk agent --resume {shlex.quote(name)} "…"'
