"""How often a process may die: how long to wait, when to give up, when to try again."""

import time

from mlxk.contract.errors import EngineFailed, MlxkError

_BACK_OFF_S = (0.0, 0.2, 1.0)
_REVIVAL_S = 10.0


class Patience:
    """`failure` is why nothing more is tried; None as long as something is."""

    def __init__(self) -> None:
        self.failure: MlxkError | None = None
        self._deaths = 0
        self._since = 0.0

    def pause(self, *, was_loading: bool) -> float | None:
        """Seconds before the next start; None when too many died before they were ready."""
        self._deaths = self._deaths + 1 if was_loading else 1
        return _BACK_OFF_S[self._deaths - 1] if self._deaths <= len(_BACK_OFF_S) else None

    def give_up(self, error: MlxkError) -> None:
        self.failure = error
        self._since = time.monotonic()

    def revive(self) -> bool:
        """What failed for want of memory or luck is tried again, though not at once."""
        rested = time.monotonic() - self._since > _REVIVAL_S
        if not (isinstance(self.failure, EngineFailed) and rested):
            return False
        self.failure = None
        self._deaths = 0
        return True
