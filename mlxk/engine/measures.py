"""Log-probabilities of tokens, carried along until visible text of theirs goes out."""

from dataclasses import replace

from mlxk.chat.types import Event, TextDelta, TokenLogprob
from mlxk.engine.protocol import Step
from mlxk.engine.tokenizer import TextModel


class Measures:
    """Tokens of thoughts and calls are not part of what a reader asked to have measured."""

    def __init__(self, text: TextModel) -> None:
        self._text = text
        self._waiting: list[TokenLogprob] = []

    def note(self, step: Step) -> None:
        if step.logprob is not None and step.ended != "stop":
            pieces = self._text.pieces
            top = tuple((pieces.of(token), share) for token, share in step.top)
            self._waiting.append(TokenLogprob(pieces.of(step.token), step.logprob, top))

    def attach(self, event: Event) -> Event:
        if not self._waiting:
            return event
        waiting, self._waiting = tuple(self._waiting), []
        return replace(event, logprobs=waiting) if isinstance(event, TextDelta) else event
