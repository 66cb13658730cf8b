"""Follows grammars token by token in the engine process, and says which tokens may come next.

A matcher is compiled on the thread that reads the socket, so that the running batch is not held
up by it. `llguidance.mlx` masks with a kernel that only Metal has: here it is `mx.where`.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
from llguidance import LLMatcher, LLTokenizer

_COMPILED = 64


class Grammars:
    """Compiled grammars of one model, the most recent ones kept."""

    def __init__(self, folder: Path, vocabulary: int) -> None:
        self._folder = folder
        self._vocabulary = vocabulary
        self._tokenizer: LLTokenizer | None = None
        self._compiled: OrderedDict[str, LLMatcher] = OrderedDict()
        self._using = threading.Lock()

    def matcher(self, text: str, stop: Sequence[int]) -> LLMatcher:
        """A matcher of its own at the beginning; `stop` are the tokens that may end an answer."""
        with self._using:
            if text not in self._compiled:
                self._compiled[text] = LLMatcher(self._tokens(stop), text)
                while len(self._compiled) > _COMPILED:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(text)
            return self._compiled[text].deep_copy()

    def _tokens(self, stop: Sequence[int]) -> LLTokenizer:
        if self._tokenizer is None:
            from mlxk.engine.tokenizer import load_tokenizer  # noqa: PLC0415 -- few need it here

            source = load_tokenizer(self._folder)
            self._tokenizer = LLTokenizer(
                source.to_str(), n_vocab=self._vocabulary, eos_token=list(stop) or None
            )
        return self._tokenizer


class Guide:
    """One sequence under a grammar, which rules once the tokens `after` have been said."""

    def __init__(self, matcher: LLMatcher, after: Sequence[int]) -> None:
        self._matcher = matcher
        self._after = tuple(after)
        self._recent: tuple[int, ...] = ()
        self.rules = not self._after

    def consume(self, token: int) -> None:
        if self.rules:
            self._matcher.consume_token(token)
            self._check()
            return
        self._recent = (*self._recent, token)[-len(self._after) :]
        self.rules = self._recent == self._after

    def mask(self) -> bytes:
        """One bit a token, lowest first, in whole 32-bit words."""
        bits: bytes = self._matcher.compute_bitmask()
        self._check()
        return bits

    def _check(self) -> None:
        if problem := self._matcher.get_error():
            raise RuntimeError(f"the grammar cannot be followed: {problem}")


def _words(guide: Guide) -> Any:
    return memoryview(guide.mask()).cast("I")


def masked(logits: Any, guides: Sequence[Guide | None]) -> Any:
    """Logits [B, V] with minus infinity where a row's guide forbids a token."""
    ruled = [row for row, guide in enumerate(guides) if guide and guide.rules]
    if not ruled:
        return logits
    words: list[Any] = [_words(guide) for row in ruled if (guide := guides[row])]
    packed: Any = mx.stack([mx.array(row) for row in words])
    bits = (packed[:, :, None] >> mx.arange(32, dtype=mx.uint32)) & 1
    allowed = bits.reshape(len(ruled), -1)[:, : logits.shape[-1]].astype(mx.bool_)
    chosen = mx.where(allowed, logits[mx.array(ruled)], -mx.inf)
    if len(ruled) == logits.shape[0]:
        return chosen
    logits = mx.array(logits)
    logits[mx.array(ruled)] = chosen
    return logits
