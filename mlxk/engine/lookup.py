"""Drafts without a model: an answer often repeats what the prompt, or the answer itself, has said.

Knows tokens side by side in one array, no device.
"""

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]

_DEEPEST = 32
_CANDIDATES = 256


class Lookup:
    """What followed the last tokens where they, and most of what is before them, stood earlier."""

    def prepare(self, text: Tokens, hints: Tokens) -> bool:
        """There is something to say about the token after `text` already."""
        return bool(self.propose(text, hints, 1))

    def propose(self, text: Tokens, hints: Tokens, most: int) -> list[int]:
        """Up to `most` tokens that may come after `text`. `hints` go before it where both know."""
        if place := _place(hints, text):
            return [int(token) for token in hints[place : place + most]]
        if place := _place(text, text):
            # What has come round once may come round again.
            return [int(token) for token in np.resize(text[place:], most)]
        return []


def _place(source: Tokens, text: Tokens) -> int:
    """Behind the place in `source` that has most in common with the end of `text`, three tokens at
    least, and of several the last one; 0 when there is none. Nothing follows the end of `source`.
    """
    last = text[-3:]
    # Most of the time there is none, and looking for bytes is the quickest way to know.
    if text.size < 3 or source.tobytes().rfind(last.tobytes(), 0, -last.itemsize) < 0:
        return 0
    first, second, third = last
    starts = (source[:-3] == first) & (source[1:-2] == second) & (source[2:-1] == third)
    found = np.flatnonzero(starts)[-_CANDIDATES:]
    for back in range(1, min(_DEEPEST, text.size - 2)):
        longer = found[found >= back]
        longer = longer[source[longer - back] == text[-3 - back]]
        if not longer.size:
            break
        found = longer
    return int(found[-1]) + 3 if found.size else 0
