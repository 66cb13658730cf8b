"""How much of a prompt may be read between two decode steps, so that nobody notices. No device."""

_STALL_S = 0.03
_PATIENCE = 3.0
_WEIGHT = 0.3


class Pace:
    """Learns what a step costs without a chunk, and what each token of a chunk adds."""

    def __init__(self, step_tokens: int, least: int = 32) -> None:
        self._most = step_tokens
        self._least = min(least, step_tokens)
        self._quiet_s: float | None = None
        self._token_s: float | None = None

    def note(self, step_s: float, chunk: int) -> None:
        """A step took this long, with a chunk of so many tokens before it."""
        if not chunk:
            self._quiet_s = _blend(self._quiet_s, step_s)
            return
        extra = max(step_s - (self._quiet_s or 0.0), 1e-6) / chunk
        self._token_s = _blend(self._token_s, extra)

    def share(self, *, is_decoding: bool) -> int:
        """Tokens for this step: all that fit when nobody waits for a next token."""
        if not is_decoding:
            return self._most
        if self._token_s is None:
            return min(self._least * 2, self._most)
        stall_s = max(_STALL_S, _PATIENCE * (self._quiet_s or 0.0))
        return max(min(int(stall_s / self._token_s), self._most), self._least)


def _blend(before: float | None, now: float) -> float:
    return now if before is None else before + _WEIGHT * (now - before)
