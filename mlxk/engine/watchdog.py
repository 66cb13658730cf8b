"""Notices a process that lives but does nothing. Knows only what the process says of itself."""

import asyncio
import time
from collections.abc import Callable

from mlxk.engine.protocol import Beat

_TICK_S = 1.0
_LATE_S = 3.0


class Watchdog:
    """`on_stall` is called once a second while the process is silent or one step takes too long."""

    def __init__(self, *, silence_s: float, hang_s: float, on_stall: Callable[[], None]) -> None:
        self._silence_s = silence_s
        self._hang_s = hang_s
        self._on_stall = on_stall
        self.reset()

    def reset(self) -> None:
        """A new process: nothing is held against it."""
        self.beat = Beat(0, 0, 0.0)
        self._heard = time.monotonic()

    def hear(self) -> None:
        self._heard = time.monotonic()

    @property
    def silent_s(self) -> float:
        return time.monotonic() - self._heard

    async def run(self) -> None:
        """When this very loop did not run for seconds (we were stopped, not the process), what
        the process said meanwhile is still unread and nothing can be concluded."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(_TICK_S)
            is_stalled = self.silent_s > self._silence_s or self.beat.step_s > self._hang_s
            if is_stalled and time.monotonic() - before < _LATE_S:
                self._on_stall()
