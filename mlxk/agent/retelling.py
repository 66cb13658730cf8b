"""Tell a session again: the events and the report of what was recorded. Runs nothing."""

from collections.abc import Generator

from mlxk.agent import events, transcript
from mlxk.agent.calls import CallRecord
from mlxk.agent.events import Event, Sender, StopReason
from mlxk.agent.prompt import system_prompt
from mlxk.agent.report import AgentTimings, AgentUsage, CommitInfo, Report, resume_line
from mlxk.agent.settings import from_meta
from mlxk.agent.sizes import size_in_bytes
from mlxk.chat.types import Message, Part, Request, Text, Thinking, ToolResult, ToolUse
from mlxk.history import diff, worktree
from mlxk.history.record import Place, Step, transcripts
from mlxk.history.store import Store


def told(store: Store, place: Place) -> Generator[Event, None, Report]:
    """Up to `place`, as it was told then; what was not recorded is null, empty or 0."""
    teller = _Teller(store, place)
    teller.begin()
    for step in place.record.steps():
        if step.number <= place.step:
            teller.step(step)
            yield from teller.take()
    teller.end()
    yield from teller.take()
    return teller.report()


class _Teller:
    def __init__(self, store: Store, place: Place) -> None:
        self._store = store
        self._place = place
        self._settings = from_meta(place.meta())
        self._lines = dict(transcripts(store, place.session_commit))
        self._when = place.record.when
        self._told: list[Event] = []
        self._sender = Sender(self._told.append, place.record.id, lambda: self._when)
        self._messages: list[Message] = []
        self._uses: dict[str, ToolUse] = {}
        self._commits: list[CommitInfo] = []
        self._calls: list[CallRecord] = []
        self._code = place.record.base

    def take(self) -> list[Event]:
        news, self._told[:] = list(self._told), []
        return news

    def begin(self) -> None:
        settings, rules = self._settings, self._settings.permissions
        tools = tuple(tool.spec for tool in settings.toolbox())
        first = Message("system", (Text(system_prompt(settings.system, "")),))
        self._sender.send(
            events.RunStarted(
                settings.model,
                settings.api,
                self._place.record.branch,
                self._worktree,
                "none",
                rules.mode,
                rules.allow,
                rules.deny,
                {},
                None,
                size_in_bytes(Request(settings.model, (first,), tools)),
                tuple(events.OfferedTool(tool.name, tool.parameters) for tool in tools),
            )
        )

    def step(self, step: Step) -> None:
        self._when = step.when
        for message in transcript.from_lines(self._lines.get(step.number, b"")):
            if message.role == "assistant":
                self._sender.turn += 1
                self._sender.send(events.TurnStarted(len(self._messages)))
            for part in message.parts if message.role != "user" else ():
                self._part(part)
            self._messages.append(message)
        if step.id != self._code:
            files = tuple(change.path for change in step.files)
            self._commits.append(CommitInfo(step.id, step.number, step.subject, files))
            self._sender.send(events.StepCommitted(step.number, step.id, step.subject, files))
            for c in step.files:
                self._sender.send(events.FileChanged(c.path, c.status, c.additions, c.deletions))
        self._code = step.id

    def _part(self, part: Part) -> None:
        match part:
            case Text(text):
                self._sender.send(events.TextDelta(text))
            case Thinking(text):
                self._sender.send(events.ThinkingDelta(text))
            case ToolUse(id):
                self._uses[id] = part
            case ToolResult(id, text, is_error, name) if use := self._uses.get(id):
                ok, name = not is_error, name or use.name
                self._sender.send(events.ToolStarted(id, name, use.arguments))
                self._sender.send(events.ToolFinished(id, name, ok, 0.0, text))
                self._calls.append(CallRecord(name, ok, 0.0))

    def end(self) -> None:
        self._sender.send(events.RunFinished(self._stop_reason, None))

    @property
    def _stop_reason(self) -> StopReason:
        last = self._messages[-1] if self._messages else None
        is_whole = last is not None and last.role == "assistant" and not last.tool_uses
        return "finished" if is_whole else "interrupted"

    @property
    def _worktree(self) -> str:
        return str(worktree.places(self._store, self._place.record.id).folder)

    def report(self) -> Report:
        record, settings = self._place.record, self._settings
        said = [m.text.strip() for m in self._messages if m.role == "assistant" and m.text.strip()]
        return Report(
            session=record.id,
            branch=record.branch,
            base=record.base,
            head=self._code,
            commits=tuple(self._commits),
            result=said[-1] if said else "",
            output=None,
            stop_reason=self._stop_reason,
            turns=self._sender.turn,
            tool_calls=tuple(self._calls),
            files_changed=diff.changes(self._store, record.base, self._code),
            usage=AgentUsage(0, 0, 0, 0),
            timings=AgentTimings(None, None, 0.0, 0.0),
            denials=(),
            budgets={},
            model=settings.model,
            api=settings.api,
            check=None,
            futures=None,
            landed=None,
            worktree=self._worktree,
            confinement="none",
            duration_s=0.0,
            resume=resume_line(record.name),
        )
