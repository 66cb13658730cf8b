"""From moments to figures: an answer, a round of answers, a level of concurrency. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median, stdev


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: `moments` are when its pieces came, in seconds after it was sent."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    moments: tuple[float, ...]
    total_s: float

    @property
    def ttft_s(self) -> float | None:
        return self.moments[0] if self.moments else None

    @property
    def gen_tps(self) -> float | None:
        """Tokens after the first, over the time that they took; None of what came in one piece."""
        if len(self.moments) < 2 or self.completion_tokens < 2:
            return None
        spent = self.total_s - self.moments[0]
        return (self.completion_tokens - 1) / spent if spent > 0 else None

    @property
    def gaps(self) -> tuple[float, ...]:
        return tuple(late - early for early, late in pairwise(self.moments))


@dataclass(frozen=True, slots=True)
class Iteration:
    """`concurrency` requests at once. `gen_tps` is of each answer, `total_tps` of all together.

    `prompt_tps`: tokens that no cache knew, over the time to the last first token.
    """

    concurrency: int
    iteration: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    prompt_tps: float | None
    gen_tps: float | None
    total_tps: float | None
    ttft_s: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Spread:
    """`std` is null for a single iteration."""

    mean: float
    std: float | None


@dataclass(frozen=True, slots=True)
class Percentiles:
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Level:
    """All iterations with so many requests at once."""

    concurrency: int
    requests: int
    failed: int
    prompt_tps: Spread | None
    gen_tps: Spread | None
    total_tps: Spread | None
    ttft_s: Percentiles | None
    gap_s: Percentiles | None


def iteration(
    concurrency: int, number: int, answers: Sequence[Answer], seconds: float
) -> Iteration:
    firsts = [a.ttft_s for a in answers if a.ttft_s is not None]
    fresh = sum(a.prompt_tokens - a.cached_tokens for a in answers)
    made = sum(a.completion_tokens for a in answers)
    return Iteration(
        concurrency=concurrency,
        iteration=number,
        failed=concurrency - len(answers),
        prompt_tokens=sum(a.prompt_tokens for a in answers),
        completion_tokens=made,
        cached_tokens=sum(a.cached_tokens for a in answers),
        prompt_tps=round(fresh / max(firsts), 2) if firsts and fresh > 0 else None,
        gen_tps=_mean([a.gen_tps for a in answers]),
        total_tps=round(made / seconds, 2) if made and seconds > 0 else None,
        ttft_s=round(median(firsts), 5) if firsts else None,
        seconds=round(seconds, 4),
    )


def level(rows: Sequence[Iteration], answers: Sequence[Answer]) -> Level:
    """`rows` of one concurrency, and all their answers."""
    concurrency = rows[0].concurrency
    return Level(
        concurrency=concurrency,
        requests=concurrency * len(rows),
        failed=sum(row.failed for row in rows),
        prompt_tps=_spread([row.prompt_tps for row in rows]),
        gen_tps=_spread([row.gen_tps for row in rows]),
        total_tps=_spread([row.total_tps for row in rows]),
        ttft_s=_percentiles([a.ttft_s for a in answers if a.ttft_s is not None]),
        gap_s=_percentiles([gap for a in answers for gap in a.gaps]),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 2) if known else None


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(round(fmean(known), 2), round(stdev(known), 2) if len(known) > 1 else None)


def _percentiles(values: Sequence[float]) -> Percentiles | None:
    if not values:
        return None
    return Percentiles(round(percentile(values, 0.5), 5), round(percentile(values, 0.95), 5))
