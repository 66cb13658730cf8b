"""Drafts by a smaller model that has the same tokens, in the same process, with its own caches."""

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np

from mlxk.engine.caches import Caches
from mlxk.engine.group import dispatch
from mlxk.engine.lookup import Tokens

_CHUNK = 512
# More than this is read in a step of its own.
_FEW = 32


class DraftModel:
    """Greedy. What it has read of one sequence is kept for the next that begins alike.

    `vocabulary` is what the large model knows; texts longer than `longest` tokens get no drafts.
    """

    def __init__(
        self, model: Any, make: Callable[[], Caches], vocabulary: int, longest: int
    ) -> None:
        self._model = model
        self._caches = make()
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
        self._model(mx.array(text[begin : begin + _CHUNK])[None], cache=self._caches)
        mx.eval([cache.state for cache in self._caches])
        self._read = text[: begin + _CHUNK].copy()
        return False

    def propose(self, text: Tokens, hints: Tokens, most: int) -> list[int]:
        if not self.prepare(text, hints):
            return []
        token = self._read_on(text[self._return_to(text) :])
        tokens = [token]
        while len(tokens) < most:
            tokens.append(self._read_on(tokens[-1]))
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

    def _read_on(self, tokens: Any) -> Any:
        """The likeliest token [1] after these, not waited for."""
        logits = self._model(mx.array(tokens)[None], cache=self._caches)[:, -1, : self._vocabulary]
        token = mx.argmax(logits, axis=-1)
        dispatch(token)
        return token
