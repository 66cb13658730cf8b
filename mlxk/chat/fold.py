"""Events back into one message, and one message into events."""

from collections.abc import AsyncIterable, Iterable, Iterator
from dataclasses import dataclass, field

from mlxk.chat.types import (
    Event,
    Finish,
    FinishReason,
    Message,
    Part,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
    ToolUse,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer: its id, who gave it, the message, why it ended, what it cost.

    `logprobs` are of its visible text, all of it.
    """

    id: str
    model: str
    message: Message
    reason: FinishReason
    usage: Usage
    stop: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(slots=True, eq=False)
class Fold:
    """Feed it events; `parts` is what has been said so far, also after a cut stream."""

    id: str = ""
    model: str = ""
    finish: Finish | None = None
    logprobs: list[TokenLogprob] = field(default_factory=list)
    _parts: list[Part] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)  # what the last part goes on with

    def feed(self, event: Event) -> None:
        match event:
            case Start(id, model):
                self.id, self.model = id, model
            case Finish():
                self.finish = event
            case _:
                self._add(event)
                if isinstance(event, TextDelta) and event.logprobs:
                    self.logprobs += event.logprobs

    @property
    def message(self) -> Message:
        self._join()
        return Message("assistant", tuple(self._parts))

    @property
    def reply(self) -> Reply | None:
        """The whole answer, or None while its Finish is missing."""
        if (end := self.finish) is None:
            return None
        measured = tuple(self.logprobs)
        return Reply(self.id, self.model, self.message, end.reason, end.usage, end.stop, measured)

    def __eq__(self, other: object) -> bool:
        """The same was said, in whatever pieces."""
        return isinstance(other, Fold) and self._said == other._said

    __hash__ = None  # type: ignore[assignment]  # it changes

    @property
    def _said(self) -> tuple[object, ...]:
        return self.id, self.model, self.finish, self.logprobs, self.message

    def _add(self, event: Event) -> None:
        last = self._parts[-1] if self._parts else None
        match event, last:
            case TextDelta(""), _:
                pass
            case TextDelta(text), Text():
                self._pieces.append(text)
            case TextDelta(text), _:
                self._begin(Text(text))
            case ThinkingDelta(text, signature), Thinking(before, earlier):
                self._parts[-1] = Thinking(before, signature or earlier)
                self._pieces.append(text)
            case ThinkingDelta(text, signature), _:
                self._begin(Thinking(text, signature))
            case ToolUseStart(id, name), _:
                self._begin(ToolUse(id, name, ""))
            case ToolUseDelta(arguments), ToolUse():
                self._pieces.append(arguments)
            case _:
                raise ValueError(f"{type(event).__name__} after {type(last).__name__}")

    def _begin(self, part: Part) -> None:
        self._join()
        self._parts.append(part)

    def _join(self) -> None:
        if not self._pieces:
            return
        more = "".join(self._pieces)
        self._pieces.clear()
        match self._parts[-1]:
            case Text(before):
                self._parts[-1] = Text(before + more)
            case Thinking(before, signature):
                self._parts[-1] = Thinking(before + more, signature)
            case ToolUse(id, name, before):
                self._parts[-1] = ToolUse(id, name, before + more)


def fold(events: Iterable[Event]) -> Fold:
    folded = Fold()
    for event in events:
        folded.feed(event)
    return folded


async def gather(events: AsyncIterable[Event]) -> Fold:
    folded = Fold()
    async for event in events:
        folded.feed(event)
    return folded


def unfold(reply: Reply) -> Iterator[Event]:
    """All log-probabilities go with the first text: which are whose is not known any more."""
    yield Start(reply.id, reply.model)
    logprobs = reply.logprobs
    for part in reply.message.parts:
        match part:
            case Text(text):
                yield TextDelta(text, logprobs)
                logprobs = ()
            case Thinking(text, signature):
                yield ThinkingDelta(text, signature)
            case ToolUse(id, name, arguments):
                yield ToolUseStart(id, name)
                yield ToolUseDelta(arguments)
            case _:
                raise TypeError(f"an assistant message holds no {type(part).__name__}")
    yield Finish(reply.reason, reply.usage, reply.stop)
