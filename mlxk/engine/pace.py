"""How much of the prompts may be read between two decode steps, so that few notice. No device."""

_BURST_S = 0.5
_STALL_S = 0.03
_PATIENCE = 3.0
_WEIGHT = 0.3
_FADING = 0.7
_QUICKEST_S = 1e-5


class Pace:
    """Learns what a step costs without a chunk, and what each token of a chunk adds."""

    def __init__(self, step_tokens: int, least: int = 32) -> None:
        self._most = step_tokens
        self._least = min(least, step_tokens)
        self._quiet_s: float | None = None
        self._seconds = 0.0  # that so many tokens took; both fade
        self._tokens = 0.0
        self._is_after = False

    def note(self, step_s: float, chunk: int) -> None:
        """A step took this long, with a chunk of so many tokens before it.

        The device may still be busy with that chunk in the step after it.
        """
        if not (chunk or self._is_after):
            self._quiet_s = _blend(self._quiet_s, step_s)
            return
        self._is_after = bool(chunk)
        if chunk:
            self._seconds *= _FADING
            self._tokens = _FADING * self._tokens + chunk
        self._seconds += max(step_s - (self._quiet_s or 0.0), 0.0)

    def share(self, waiting: int, answering: int) -> int:
        """Tokens for this step. The more wait for each that answers, the longer those may pause."""
        if not self._tokens:
            return min(self._least * 2, self._most) if answering else self._most
        token_s = max(self._seconds / self._tokens, _QUICKEST_S)
        if not answering:
            return max(int(_BURST_S / token_s), self._most)
        crowd = max(waiting / answering, 1.0)
        least_s = max(_STALL_S, _PATIENCE * (self._quiet_s or 0.0))
        stall_s = min(crowd * least_s, max(least_s, _BURST_S))
        return max(min(int(stall_s / token_s), int(crowd * self._most)), self._least)


def _blend(before: float | None, now: float) -> float:
    return now if before is None else before + _WEIGHT * (now - before)
