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


@dataclass(slots=True)
class Fold:
    """Feed it events; `parts` is what has been said so far, also after a cut stream."""

    id: str = ""
    model: str = ""
    finish: Finish | None = None
    logprobs: list[TokenLogprob] = field(default_factory=list)
    _parts: list[Part] = field(default_factory=list)

    def feed(self, event: Event) -> None:
        match event:
            case Start(id, model):
                self.id, self.model = id, model
            case Finish():
                self.finish = event
            case _:
                _append(self._parts, event)
                if isinstance(event, TextDelta) and event.logprobs:
                    self.logprobs += event.logprobs

    @property
    def message(self) -> Message:
        return Message("assistant", tuple(self._parts))

    @property
    def reply(self) -> Reply | None:
        """The whole answer, or None while its Finish is missing."""
        if (end := self.finish) is None:
            return None
        measured = tuple(self.logprobs)
        return Reply(self.id, self.model, self.message, end.reason, end.usage, end.stop, measured)


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


def _append(parts: list[Part], event: Event) -> None:
    last = parts[-1] if parts else None
    match event, last:
        case TextDelta(""), _:
            pass
        case TextDelta(text), Text(before):
            parts[-1] = Text(before + text)
        case TextDelta(text), _:
            parts.append(Text(text))
        case ThinkingDelta(text, signature), Thinking(before, earlier):
            parts[-1] = Thinking(before + text, signature or earlier)
        case ThinkingDelta(text, signature), _:
            parts.append(Thinking(text, signature))
        case ToolUseStart(id, name), _:
            parts.append(ToolUse(id, name, ""))
        case ToolUseDelta(arguments), ToolUse(id, name, before):
            parts[-1] = ToolUse(id, name, before + arguments)
        case _:
            raise ValueError(f"{type(event).__name__} after {type(last).__name__}")
