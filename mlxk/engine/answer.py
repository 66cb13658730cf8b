"""The text of an answer as events: thinking, visible text, tool calls. Knows no token ids.

Markers may arrive in any number of pieces; what could be the beginning of one is held back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mlxk.chat.types import (
    Event,
    TextDelta,
    ThinkingDelta,
    Tool,
    ToolUseDelta,
    ToolUseStart,
)
from mlxk.engine.text import StopScanner, overlap
from mlxk.engine.toolcalls.arguments import arguments_text
from mlxk.engine.toolcalls.dialects import HERMES, Dialect
from mlxk.engine.toolcalls.readers import Call

Where = Literal["before", "thinking", "text", "call"]


@dataclass(frozen=True, slots=True)
class Markup:
    """How this model marks its thoughts, and its tool calls where tools were offered.

    `noise` are marks before visible text that mean nothing to a reader, `ends` those after it: what
    follows may be a thought again. `only_calls`: a grammar lets nothing be said but calls, so that
    what looks like text is a piece of one.
    """

    think: tuple[str, str] | None
    dialect: Dialect | None
    noise: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    only_calls: bool = False


class AnswerParser:
    """Feed it text; it returns events. `is_thinking` when the prompt has opened the thought.

    A thought can only open before the first visible character: later the tag is a quotation.
    """

    def __init__(
        self,
        markup: Markup,
        *,
        tools: Sequence[Tool] = (),
        stops: Sequence[str] = (),
        is_thinking: bool = False,
        new_id: Callable[[str], str],
    ) -> None:
        self._markup = markup
        self._tools = tools
        self._stops = StopScanner(stops)
        self._new_id = new_id
        self._where: Where = "thinking" if is_thinking else "before"
        self._buffer = ""
        self._may_trim = is_thinking
        self._announced: str | None = None
        self._searched = 0  # of a call's body, where no end mark is
        self.has_called = False

    @property
    def is_thinking(self) -> bool:
        return self._where == "thinking"

    @property
    def stop(self) -> str | None:
        """The stop string that was met; nothing after it is an event."""
        return self._stops.found

    def feed(self, text: str) -> list[Event]:
        self._buffer += text
        return self._drain(is_last=False)

    def flush(self) -> list[Event]:
        """The rest, when no more text comes."""
        events = self._drain(is_last=True)
        rest = "" if self.stop else self._stops.flush()
        return [*events, TextDelta(rest)] if rest else events

    def _drain(self, *, is_last: bool) -> list[Event]:
        events: list[Event] = []
        while self._buffer and not self.stop:
            size, where = len(self._buffer), self._where
            events += self._STATES[where](self, is_last)
            if (size, where) == (len(self._buffer), self._where):
                break
        return events

    def _before(self, is_last: bool) -> list[Event]:
        """Nothing is visible yet: a thought may open, or a doubled closing tag be dropped."""
        bare = self._buffer.lstrip()
        for mark, where in self._openings():
            if bare.startswith(mark):
                self._enter(where, bare[len(mark) :])
                return []
        is_open = not bare or any(mark.startswith(bare) for mark, _ in self._openings())
        if is_last or not is_open:
            # Blank lines after a thought belong to the format, an answer's first space does not.
            self._enter("text", bare if self._may_trim else self._buffer)
        return []

    def _openings(self) -> tuple[tuple[str, Where], ...]:
        noise: list[tuple[str, Where]] = [(mark, "before") for mark in self._markup.noise]
        if self._markup.think is None:
            return tuple(noise)
        opener, closer = self._markup.think
        return (opener, "thinking"), (closer, "before"), *noise

    def _thinking(self, is_last: bool) -> list[Event]:
        if self._may_trim:
            self._buffer = self._buffer.lstrip("\n")
        text, found = self._thought(self._markup.think[1] if self._markup.think else "", is_last)
        self._may_trim = bool(found) or (self._may_trim and not text)
        if found:
            self._where = "before"
        return [ThinkingDelta(text)] if text else []

    def _thought(self, closer: str, is_last: bool) -> tuple[str, str]:
        """A call in a thought is a quotation if the thought goes on, and meant if it does not."""
        dialect = self._markup.dialect
        if dialect is None or (closer and closer in self._buffer):
            return self._until([closer], is_last)
        thought, mark, rest = self._buffer.partition(dialect.start)
        if not mark:
            return self._until([closer, dialect.start], is_last)
        is_call = dialect.may_end(mark + rest)
        if not is_call or (is_last and not dialect.read(dialect.cut(rest)[0])):
            self._buffer = rest
            return thought + mark, ""
        thought = thought.rstrip()
        self._buffer = self._buffer[len(thought) :]
        if is_last:
            self._enter("call", rest)
        return thought, ""

    def _text(self, is_last: bool) -> list[Event]:
        call = self._markup.dialect.start if self._markup.dialect else ""
        text, found = self._until([call, *self._markup.ends], is_last)
        visible = "" if self._markup.only_calls else self._stops.feed(text)
        if found:
            self._where, self._may_trim = "call" if found == call else "before", True
            visible += "" if self.stop else self._stops.flush()
        return [TextDelta(visible)] if visible else []

    def _call(self, is_last: bool) -> list[Event]:
        dialect = self._markup.dialect or HERMES
        body, end, rest = dialect.cut(self._buffer, self._searched)
        if not end and not is_last:
            self._searched = max(0, len(body) - len(dialect.end) + 1)
            return self._announce(dialect.peek(body))
        if not end and dialect.end:
            body, end, rest = self._buffer.partition(dialect.end)
        self._enter("before", rest)
        if calls := dialect.read(body) or _unread(dialect.peek(body + end), body):
            return [event for call in calls for event in self._events(call)]
        return [] if self._markup.only_calls else [TextDelta(dialect.start + body + end)]

    def _announce(self, name: str | None) -> list[Event]:
        """A call's name is news before its arguments are complete."""
        if name is None or self._announced is not None:
            return []
        self._announced = name
        self.has_called = True
        return [ToolUseStart(self._new_id("call"), name)]

    def _events(self, call: Call) -> list[Event]:
        started = self._announce(call.name)
        self._announced = None
        return [*started, ToolUseDelta(arguments_text(call, self._tools))]

    def _enter(self, where: Where, rest: str) -> None:
        self._where, self._buffer, self._may_trim = where, rest, where != "text"
        self._searched = 0

    def _until(self, marks: Sequence[str], is_last: bool) -> tuple[str, str]:
        """Text up to the first of `marks`, and which it was; white space before it is the format's.
        What may be the beginning of one waits."""
        marks = [mark for mark in marks if mark]
        met = [(at, mark) for mark in marks if (at := self._buffer.find(mark)) >= 0]
        if met:
            at, mark = min(met)
            text, self._buffer = self._buffer[:at], self._buffer[at + len(mark) :]
            return text.rstrip(), mark
        text, cut = self._buffer, len(self._buffer)
        if marks and not is_last:
            most = max(overlap(text, mark) for mark in marks)
            cut = len(text[: cut - most].rstrip())
        self._buffer = text[cut:]
        return text[:cut], ""

    _STATES: ClassVar[dict[Where, Callable[["AnswerParser", bool], list[Event]]]] = {
        "before": _before,
        "thinking": _thinking,
        "text": _text,
        "call": _call,
    }


def _unread(name: str | None, body: str) -> tuple[Call, ...]:
    """A name that could be announced is a call, whatever follows it: its agent can answer that."""
    return (Call(name, body),) if name else ()
