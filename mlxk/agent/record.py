"""Writes a conversation and its files into the session as they come about."""

from pathlib import Path
from typing import TYPE_CHECKING

from mlxk.agent import transcript
from mlxk.agent.calls import Outcome
from mlxk.agent.events import FileChanged, Sender, StepCommitted
from mlxk.agent.redact import redacted
from mlxk.agent.scribe import Scribe, finished
from mlxk.chat.types import Message, ToolUse
from mlxk.system.clock import Clock

if TYPE_CHECKING:
    from mlxk.history.record import Step
    from mlxk.history.session import Session
    from mlxk.history.store import Store

_BODY = 4096
_SUBJECT = 72


class Recorder:
    """`messages` is the conversation so far; every change of it is in git before it returns, and
    before a cancellation does.
    """

    def __init__(
        self, session: "Session", scribe: Scribe, sender: Sender, clock: Clock, model: str
    ) -> None:
        self._session = session
        self._scribe = scribe
        self._sender = sender
        self._clock = clock
        self._model = model
        self._unwritten: tuple[Message, ...] = ()
        self.messages: list[Message] = []
        self.commits: list[Step] = []

    async def begin(self, meta: bytes, *, fresh: bool) -> None:
        """Read what the session holds; `fresh`: not into `messages`. From now on it has `meta`."""

        def read(_: "Store") -> tuple[Message, ...]:
            record = self._session.record
            if record.meta() != meta:
                self._session.remember(meta)
            return transcript.from_lines(record.lines())

        past = await self._scribe.do(read)
        self._unwritten = transcript.repaired(past)
        if not fresh:
            self.messages += [*past, *self._unwritten]

    @property
    def worktree(self) -> Path:
        return self._session.worktree

    async def add(self, message: Message) -> None:
        """A message alone: a prompt, or an answer before its calls run."""
        await finished(self._write((message,), paths=(), subject=_subject(message)))

    async def add_round(self, uses: tuple[ToolUse, ...], done: list[Outcome]) -> None:
        """The results of a round, one for every call, and the files it changed."""
        results = {outcome.result.tool_use_id: outcome.result for outcome in done}
        parts = tuple(results.get(use.id) or transcript.stopped(use) for use in uses)
        unknown = len(done) < len(uses) or any(outcome.changed is None for outcome in done)
        paths = None if unknown else {path for o in done for path in o.changed or ()}
        await finished(self._write((Message("tool", parts),), paths=paths, body=_body(uses)))

    async def _write(
        self,
        messages: tuple[Message, ...],
        *,
        paths: set[str] | tuple[()] | None,
        subject: str = "",
        body: str = "",
    ) -> None:
        lines = transcript.to_lines((*self._unwritten, *messages))
        self._unwritten = ()

        def append(_: "Store") -> "tuple[Step, bool]":
            before = self._session.record.code
            step = self._session.append(
                lines,
                when=self._clock(),
                paths=sorted(paths) if paths is not None else None,
                subject=subject,
                body=body,
                model=self._model,
                rests=messages[-1].role == "assistant" and not messages[-1].tool_uses,
            )
            return step, step.id != before

        step, is_commit = await self._scribe.do(append)
        self.messages.extend(messages)
        if is_commit:
            self.commits.append(step)
            files = tuple(change.path for change in step.files)
            self._sender.send(StepCommitted(step.number, step.id, step.subject, files))
            for c in step.files:
                self._sender.send(FileChanged(c.path, c.status, c.additions, c.deletions))


def _subject(message: Message) -> str:
    """What a talk-only step says in the log: `prompt: …`, `call Write`, `answer: …`."""
    if message.tool_uses:
        return f"call {', '.join(use.name for use in message.tool_uses)}"[:_SUBJECT]
    kind = "prompt" if message.role == "user" else "answer"
    words = redacted(f"{kind}: {' '.join(message.text.split())}")
    return words if len(words) <= _SUBJECT else words[: _SUBJECT - 1] + "…"


def _body(uses: tuple[ToolUse, ...]) -> str:
    """The calls of the round, a line each, short enough for `git log`."""
    calls = (redacted(f"{use.name} {' '.join(use.arguments.split())}") for use in uses)
    lines = (line[: _SUBJECT + 8] for line in calls)
    return "\n".join(lines)[:_BODY]
