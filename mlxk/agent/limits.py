"""Budgets of a run: what has been used, what is allowed, and the end when one is spent."""

import time
from dataclasses import dataclass, field

from mlxk.chat.types import Usage
from mlxk.contract.errors import LimitReached, LoopDetected

_REPEATS = 5
_MARKS = (50, 80, 100)


@dataclass(frozen=True, slots=True)
class Budgets:
    """None means unlimited. `tokens` are output tokens of all turns together."""

    turns: int | None = 50
    tokens: int | None = None
    seconds: float | None = None
    tool_calls: int | None = None


@dataclass(slots=True)
class Meter:
    """Counts as the run goes. `check` raises LimitReached before anything more is spent."""

    budgets: Budgets
    turns: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    peak_context: int = 0
    started: float = field(default_factory=time.monotonic)
    _last: tuple[str, str] = ("", "")
    _repeats: int = 0
    _told: dict[str, int] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def seconds_left(self) -> float | None:
        return None if self.budgets.seconds is None else self.budgets.seconds - self.seconds

    def tokens_left(self) -> int | None:
        return None if self.budgets.tokens is None else self.budgets.tokens - self.output_tokens

    def check(self) -> None:
        for name, (used, limit) in self.report().items():
            if limit is not None and used >= limit:
                raise spent(name, limit)

    def add(self, usage: Usage) -> None:
        self.input_tokens += usage.prompt_tokens
        self.output_tokens += usage.completion_tokens
        self.cached_tokens += usage.cached_tokens
        self.peak_context = max(self.peak_context, usage.total_tokens)

    def absorb(self, input_tokens: int, output_tokens: int) -> None:
        """What a sub-agent used counts here too."""
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens

    def report(self) -> dict[str, tuple[float, float | None]]:
        return {
            "turns": (self.turns, self.budgets.turns),
            "tokens": (self.output_tokens, self.budgets.tokens),
            "seconds": (round(self.seconds, 3), self.budgets.seconds),
            "tool_calls": (self.tool_calls, self.budgets.tool_calls),
        }

    def crossed(self) -> list[tuple[str, float, float, int]]:
        """Budgets that newly reached 50, 80 or 100 percent: (name, used, limit, percent)."""
        news = []
        for name, (used, limit) in self.report().items():
            mark = max((m for m in _MARKS if limit and used >= limit * m / 100), default=0)
            if limit and mark > self._told.get(name, 0):
                self._told[name] = mark
                news.append((name, used, limit, mark))
        return news

    def saw(self, calls: str, results: str) -> None:
        """Count a round of calls; LoopDetected when the same gave the same five times running."""
        self._repeats = self._repeats + 1 if (calls, results) == self._last else 1
        self._last = (calls, results)
        if self._repeats >= _REPEATS:
            raise LoopDetected(
                f"the model repeated the same call {_REPEATS} times with the same result",
                hint="say it in other words, or choose a stronger model with --model",
            )


def spent(name: str, limit: float) -> LimitReached:
    return LimitReached(
        f"the budget of {limit:g} {name} is used up; the work so far is kept",
        hint=f"go on with --resume and a larger --max-{name.replace('_', '-')}",
        budget=name,
        limit=limit,
    )
