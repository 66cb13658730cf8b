"""How many tokens to draft: learned from what drafts cost and what they brought. No device.

A draft that fails costs time. Whoever loses with drafts pauses, each time twice as long.
"""

from collections import deque
from statistics import median
from typing import Self

MOST = 16
_FIRST = 2
_FLAT = 32
_SHORTEST = 8
_LONGEST = 1024
_INHERITED = 128
_REMEMBERED = 7
_FADING = 0.8
_MAY_BE_LOST = 0.5


class Wager:
    """Of one sequence; a loss makes the next one wait, too. Drafts have to beat `plain_s`, the
    seconds of a token without them. `is_flat` where a long one costs no more than a short one."""

    def __init__(self, before: Self | None = None, *, is_flat: bool = False) -> None:
        self._plain: deque[float] = deque(maxlen=_REMEMBERED)
        self._is_flat = is_flat
        self._length = _FLAT if is_flat else _FIRST
        self._gain_s = 0.0  # what drafts have saved; fades
        self._patience = before.inherited if before else _SHORTEST
        self._pause = self._patience if self._patience > _SHORTEST else 0
        self._is_drafting = False

    @property
    def inherited(self) -> int:
        return min(max(self._patience // 2, _SHORTEST), _INHERITED)

    @property
    def plain_s(self) -> float | None:
        return median(self._plain) if self._plain else None

    @property
    def length(self) -> int:
        """Tokens to draft now."""
        return 0 if self._pause or not self._plain else self._length

    def note_plain(self, seconds: float | None) -> None:
        """A step without a draft; None when that says nothing of the next one.

        The one after a draft is short: its token had been waited for before.
        """
        if seconds is not None and not self._is_drafting:
            self._plain.append(seconds)
        self._is_drafting = False
        self._pause = max(self._pause - 1, 0)

    def note_vain(self, seconds: float | None) -> None:
        """A step that waited for a token because its drafter seemed to know what comes after it."""
        if seconds is not None and self.plain_s is not None:
            self._judge(self.plain_s - seconds, self.plain_s)
        self._is_drafting = False

    def note_draft(self, seconds: float | None, drafted: int, accepted: int) -> None:
        """A step with a draft. The first one waits for the token of the step before, too."""
        if not self._is_flat:
            self._learn(drafted, accepted)
        if seconds is not None and self.plain_s is not None:
            tokens = 1 + accepted + (not self._is_drafting)
            self._judge(self.plain_s * tokens - seconds, self.plain_s)
        self._is_drafting = True

    def _learn(self, drafted: int, accepted: int) -> None:
        if accepted == drafted >= self._length:
            self._length = min(self._length * 2, MOST)
        elif accepted * 2 < drafted:
            self._length = max(self._length // 2, 1)

    def _judge(self, saved_s: float, plain_s: float) -> None:
        """Half a token's time may be lost: less is not worth a pause."""
        self._gain_s = _FADING * self._gain_s + saved_s
        if self._gain_s >= 0:
            self._patience = max(self._patience // 2, _SHORTEST)
        if self._gain_s >= -_MAY_BE_LOST * plain_s:
            return
        self._pause, self._gain_s = self._patience, 0.0
        self._patience = min(self._patience * 2, _LONGEST)
