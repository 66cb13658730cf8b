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
            top = tuple((self._text.decode((token,)), share) for token, share in step.top)
            name = self._text.decode((step.token,))
            self._waiting.append(TokenLogprob(name, step.logprob, top))

    def attach(self, event: Event) -> Event:
        if not self._waiting:
            return event
        waiting, self._waiting = tuple(self._waiting), []
        return replace(event, logprobs=waiting) if isinstance(event, TextDelta) else event
