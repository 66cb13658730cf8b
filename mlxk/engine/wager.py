"""How many tokens to draft: learned from what drafts cost and what they brought. No device.

A draft that fails costs time. Whoever loses with drafts pauses, each time twice as long.
"""

MOST = 16
_FIRST = 2
_SHORTEST = 8
_LONGEST = 1024
_WEIGHT = 0.2
_FADING = 0.8


class Wager:
    """Of one sequence. Drafts have to beat `plain_s`, the seconds of a token without them."""

    def __init__(self) -> None:
        self.plain_s: float | None = None
        self._length = _FIRST
        self._gain_s = 0.0  # what drafts have saved; fades
        self._pause = 0
        self._patience = _SHORTEST
        self._is_drafting = False

    @property
    def length(self) -> int:
        """Tokens to draft now."""
        return 0 if self.plain_s is None or self._pause else self._length

    def note_plain(self, seconds: float | None) -> None:
        """A step without a draft; None when it is not known how long that took.

        The one after a draft is short: its token had been waited for before.
        """
        if seconds is not None and not self._is_drafting:
            before = seconds if self.plain_s is None else self.plain_s
            self.plain_s = before + _WEIGHT * (seconds - before)
        self._is_drafting = False
        self._pause = max(self._pause - 1, 0)

    def note_draft(self, seconds: float | None, drafted: int, accepted: int) -> None:
        """A step with a draft. The first one waits for the token of the step before, too."""
        if accepted == drafted >= self._length:
            self._length = min(self._length * 2, MOST)
        elif accepted * 2 < drafted:
            self._length = max(self._length // 2, 1)
        if seconds is not None and self.plain_s is not None:
            tokens = 1 + accepted + (not self._is_drafting)
            self._judge(self.plain_s * tokens - seconds)
        self._is_drafting = True

    def _judge(self, saved_s: float) -> None:
        self._gain_s = _FADING * self._gain_s + saved_s
        if self._gain_s >= 0:
            self._patience = max(self._patience // 2, _SHORTEST)
            return
        self._pause, self._gain_s = self._patience, 0.0
        self._patience = min(self._patience * 2, _LONGEST)
