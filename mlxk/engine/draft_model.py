"""Drafts by a smaller model that has the same tokens, in the same process, with its own caches."""

from typing import Any

import mlx.core as mx
import numpy as np

from mlxk.engine.caches import Caches
from mlxk.engine.group import Forward, dispatch
from mlxk.engine.lookup import Tokens

_CHUNK = 512
# More than this is read in a step of its own.
_FEW = 32


class DraftModel:
    """Greedy. What it has read of one sequence is kept for the next that begins alike.

    `vocabulary` is what the large model knows; texts longer than `longest` tokens get no drafts.
    """

    def __init__(self, forward: Forward, held: Caches, vocabulary: int, longest: int) -> None:
        self._forward = forward
        self._caches = held
        self._vocabulary = vocabulary
        self._longest = longest
        self._read: Tokens = np.empty(0, np.int32)

    def prepare(self, text: Tokens, hints: Tokens) -> bool:
        """Reads a part of what is new, where that is much; true when the rest is little."""
        if text.size > self._longest:
            return False
        begin = self._return_to(text)
        if text.size - begin <= _FEW:
            return True
        self._pass(text, begin, begin + _CHUNK)
        mx.eval([cache.state for cache in self._caches])
        self._read = text[: begin + _CHUNK].copy()
        return False

    def propose(self, text: Tokens, hints: Tokens, most: int) -> list[int]:
        if not self.prepare(text, hints):
            return []
        tokens = [self._likeliest(self._pass(text, self._return_to(text), text.size))]
        while len(tokens) < most:
            logits = self._forward.model(tokens[-1][None], cache=self._caches)[0]
            tokens.append(self._likeliest(logits))
        found: Any = mx.concatenate(tokens).tolist()
        self._read = np.concatenate([text, np.array(found[:-1], np.int32)])
        return [int(each) for each in found]

    def _return_to(self, text: Tokens) -> int:
        """Forget what is not in `text`, and its last token, which drafts begin with."""
        most = min(self._read.size, text.size - 1)
        differing = np.flatnonzero(self._read[:most] != text[:most])
        length = int(differing[0]) if differing.size else most
        for cache in self._caches:
            cache.trim(cache.offset - length)
        self._read = self._read[:length]
        return length

    def _pass(self, text: Tokens, begin: int, end: int) -> Any:
        """Logits [L, V] of these tokens; what is before them has been read."""
        tokens = text[begin:end].tolist()
        if len(tokens) == 1:  # a decode step, whatever shapes cost
            return self._forward.model(mx.array([tokens]), cache=self._caches)[0]
        return self._forward.onward(lambda a, b: text[a:b].tolist(), self._caches, begin, tokens)

    def _likeliest(self, logits: Any) -> Any:
        """The token [1] after the last of these, not waited for."""
        token = mx.argmax(logits[-1:, : self._vocabulary], axis=-1)
        dispatch(token)
        return token
