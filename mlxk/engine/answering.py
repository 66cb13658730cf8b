"""A ticket's tokens as the events of an answer, up to its Finish."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from mlxk.chat.types import Event, Finish, FinishReason, Predicted, Request, Usage
from mlxk.engine.answer import AnswerParser, Markup
from mlxk.engine.markup import hidden, is_thinking, markup
from mlxk.engine.measures import Measures
from mlxk.engine.prompt import Prompt, offered
from mlxk.engine.protocol import Ended, Step
from mlxk.engine.text import Detokenizer
from mlxk.engine.tickets import Ticket
from mlxk.engine.tokenizer import TextModel

NewId = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, how the model was asked, and what its text is made of."""

    request: Request
    prompt: Prompt
    text: TextModel


async def answer(question: Question, ticket: Ticket, new_id: NewId) -> AsyncGenerator[Event, None]:
    """Deltas and one Finish. What the device makes after a stop string is not looked at."""
    reader = _Reader(question, new_id)
    while not reader.is_over:
        for step in await ticket.steps():
            for event in reader.feed(step):
                yield event
            if reader.is_over:
                break
    for event in reader.flush():
        yield event
    yield reader.finish(ticket)


class _Reader:
    def __init__(self, question: Question, new_id: NewId) -> None:
        request, prompt, text = question.request, question.prompt, question.text
        marks = Markup(None, None) if prompt.is_raw else markup(text, request)
        self._parser = AnswerParser(
            marks,
            tools=offered(request),
            stops=request.stop,
            is_thinking=is_thinking(marks, prompt.text),
            new_id=new_id,
        )
        self._pieces = Detokenizer(text, prompt.ids, hidden(text, marks))
        self._measures = Measures(text)
        self._prompt_tokens = len(prompt.ids)
        self._has_prediction = request.prediction is not None
        self._made = self._thought = 0
        self._ended: Ended | None = None

    @property
    def is_over(self) -> bool:
        return self._ended is not None or self._parser.stop is not None

    def feed(self, step: Step) -> list[Event]:
        """A stop token ends the answer and is no part of it."""
        self._ended = step.ended
        if step.ended == "stop":
            return []
        self._made += 1
        self._thought += self._parser.is_thinking
        self._measures.note(step)
        events = self._parser.feed(self._pieces.feed((step.token,)))
        return [self._measures.attach(event) for event in events]

    def flush(self) -> list[Event]:
        if self._parser.stop is not None:
            return []
        events = [*self._parser.feed(self._pieces.flush()), *self._parser.flush()]
        return [self._measures.attach(event) for event in events]

    def finish(self, ticket: Ticket) -> Finish:
        held = Predicted(ticket.accepted, ticket.drafted - ticket.accepted)
        predicted = held if self._has_prediction else None
        usage = Usage(self._prompt_tokens, self._made, ticket.cached, predicted, self._thought)
        return Finish(self._reason(), usage, self._parser.stop, ticket.made_s)

    def _reason(self) -> FinishReason:
        if self._ended == "length" and self._parser.stop is None:
            return "length"
        return "tool_use" if self._parser.has_called else "stop"
