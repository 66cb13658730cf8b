"""What an agent tells while it works: each payload with its `type`, stamped when it is sent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from mlxk.chat.types import Usage
from mlxk.system.clock import Clock, stamp

StopReason = Literal[
    "finished",
    "limit_reached",
    "loop_detected",
    "interrupted",
    "empty_answer",
    "tool_denied",
    "check_failed",
    "schema_mismatch",
    "error",
]


@dataclass(frozen=True, slots=True)
class OfferedTool:
    name: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """`permissions` is the mode; `prompt_tokens` is None when the model cannot count."""

    type: ClassVar[str] = "run.started"
    model: str
    api: str
    branch: str
    worktree: str
    confinement: str
    permissions: str
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    budgets: dict[str, float | None]
    prompt_tokens: int | None
    prompt_bytes: int
    tools: tuple[OfferedTool, ...]


@dataclass(frozen=True, slots=True)
class TurnStarted:
    type: ClassVar[str] = "turn.started"
    messages: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    type: ClassVar[str] = "text.delta"
    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    type: ClassVar[str] = "thinking.delta"
    text: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    type: ClassVar[str] = "tool.started"
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolOutput:
    type: ClassVar[str] = "tool.output"
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    type: ClassVar[str] = "tool.finished"
    id: str
    name: str
    ok: bool
    seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class FileChanged:
    type: ClassVar[str] = "file.changed"
    path: str
    status: str
    additions: int
    deletions: int


@dataclass(frozen=True, slots=True)
class StepCommitted:
    """`commit` is the code commit; it equals the one before when no file changed."""

    type: ClassVar[str] = "step.committed"
    step: int
    commit: str
    subject: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Used:
    """Of one request. `context_limit` is None where the model does not say."""

    type: ClassVar[str] = "usage"
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    context_used: int
    context_limit: int | None

    @classmethod
    def of(cls, usage: Usage, limit: int | None) -> Self:
        parts = usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens
        return cls(*parts, usage.total_tokens, limit)


@dataclass(frozen=True, slots=True)
class Budget:
    """Told once at 50, 80 and 100 percent of each budget."""

    type: ClassVar[str] = "budget"
    name: str
    used: float
    limit: float
    percent: int


@dataclass(frozen=True, slots=True)
class Compacted:
    """Older tool results were left out of the request; the history keeps them."""

    type: ClassVar[str] = "compacted"
    messages: int
    dropped_characters: int


@dataclass(frozen=True, slots=True)
class Retry:
    """The model's API failed before it said anything; it is asked again after `wait_s`."""

    type: ClassVar[str] = "retry"
    attempt: int
    wait_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Prefill:
    """Once a second while our engine reads a long prompt."""

    type: ClassVar[str] = "prefill"
    read: int
    total: int


@dataclass(frozen=True, slots=True)
class Warned:
    """What is in the envelope's `warnings` too, as it came up."""

    type: ClassVar[str] = "warning"
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class CheckFinished:
    type: ClassVar[str] = "check.finished"
    command: str
    passed: bool
    exit_code: int
    attempt: int
    output: str


@dataclass(frozen=True, slots=True)
class PermissionAsked:
    type: ClassVar[str] = "permission.asked"
    id: str
    name: str
    about: str


@dataclass(frozen=True, slots=True)
class PermissionAnswered:
    type: ClassVar[str] = "permission.answered"
    id: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class Heartbeat:
    type: ClassVar[str] = "heartbeat"
    silent_s: float


@dataclass(frozen=True, slots=True)
class RunFinished:
    type: ClassVar[str] = "run.finished"
    stop_reason: StopReason
    error: str | None


Payload = (
    RunStarted
    | TurnStarted
    | TextDelta
    | ThinkingDelta
    | ToolStarted
    | ToolOutput
    | ToolFinished
    | FileChanged
    | StepCommitted
    | Used
    | Budget
    | Compacted
    | Retry
    | Prefill
    | Warned
    | CheckFinished
    | PermissionAsked
    | PermissionAnswered
    | Heartbeat
    | RunFinished
)


@dataclass(frozen=True, slots=True)
class Event:
    """`seq` counts from 1 without gaps; `turn` is 0 before the first request."""

    type: str
    seq: int
    ts: str
    session: str
    turn: int
    data: Payload


class Sender:
    """Stamps payloads and hands them to one listener."""

    def __init__(self, listener: Callable[[Event], object], session: str, clock: Clock) -> None:
        self._listener = listener
        self._session = session
        self._clock = clock
        self._seq = 0
        self.turn = 0

    def send(self, payload: Payload) -> None:
        self._seq += 1
        when = stamp(self._clock())
        event = Event(payload.type, self._seq, when, self._session, self.turn, payload)
        self._listener(event)
