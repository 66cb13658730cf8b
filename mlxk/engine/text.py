"""Token ids to text in pieces: whole characters only, stop strings found across pieces."""

from collections.abc import Iterable, Sequence
from typing import Protocol

_CONTEXT = 6
# Bytes of the longest character, and the tokens that may wait for the rest of one.
_CHARACTER, _WAITING = 4, 6
_BROKEN = "\ufffd"


class Decodes(Protocol):
    def decode(self, ids: Sequence[int]) -> str: ...


class Detokenizer:
    """Text of a growing list of ids.

    Each piece is the difference of two decodings that begin at the same earlier token: decoded
    by itself, the first token of many vocabularies loses its leading space. They begin where the
    piece before began: in the middle of a character, some decoders give up on all that follows.
    The last ids of the prompt come before an answer's first token.
    """

    def __init__(self, text: Decodes, prompt: Sequence[int], hidden: Iterable[int] = ()) -> None:
        self._text = text
        self._hidden = frozenset(hidden)
        self._ids = _end(text, prompt)
        self._shown = len(self._ids)
        self._before = text.decode(self._ids)

    def feed(self, ids: Iterable[int]) -> str:
        """What these ids add; an unfinished character waits for the rest of its bytes."""
        self._ids += (token for token in ids if token not in self._hidden)
        if self._shown == len(self._ids):
            return ""
        text = self._text.decode(self._ids)
        if not text.endswith(_BROKEN):
            return self._take(text, len(self._ids))
        return self._released(text) if len(self._ids) - self._shown >= _WAITING else ""

    def flush(self) -> str:
        """The tail, with a replacement character for bytes that never became whole."""
        if self._shown == len(self._ids):
            return ""
        return self._take(self._text.decode(self._ids), len(self._ids))

    def _released(self, text: str) -> str:
        """Of bytes that are no character, those that cannot be the beginning of one any more."""
        for end in range(len(self._ids) - _CHARACTER + 1, len(self._ids)):
            if text.startswith(head := self._text.decode(self._ids[:end])):
                return self._take(head, end)
        return self._take(text, len(self._ids))

    def _take(self, text: str, end: int) -> str:
        """Show the ids up to `end`, which make `text` with those before them."""
        if text.startswith(self._before):
            piece = text[len(self._before) :]
        else:
            piece = self._text.decode(self._ids[self._shown : end])
        del self._ids[: self._shown]
        self._shown = end - self._shown
        self._before = self._text.decode(self._ids[: self._shown])
        return piece


def _end(text: Decodes, prompt: Sequence[int]) -> list[int]:
    """The last ids, from the beginning of a character on."""
    for count in range(_CONTEXT, _CONTEXT + _CHARACTER):
        if not text.decode(ids := list(prompt[-count:])).startswith(_BROKEN):
            return ids
    return list(prompt[-_CONTEXT:])


class StopScanner:
    """Lets text through up to the first stop string; what may be the beginning of one waits."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.found: str | None = None

    def feed(self, text: str) -> str:
        if self.found is not None or not self._stops:
            return "" if self.found is not None else text
        text = self._held + text
        hits = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if hits:
            at, self.found = min(hits, key=lambda hit: (hit[0], -len(hit[1])))
            self._held = ""
            return text[:at]
        keep = max(overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        held, self._held = self._held, ""
        return held


def overlap(text: str, mark: str) -> int:
    """How many characters at the end of `text` begin `mark` (never the whole of it)."""
    most = min(len(text), len(mark) - 1)
    return next((n for n in range(most, 0, -1) if mark.startswith(text[-n:])), 0)
