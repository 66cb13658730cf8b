"""Which models together fit a budget of memory: ranking and tiers. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mlxk.advise import score
from mlxk.advise.catalog import Benchmark, Catalog, Entry
from mlxk.advise.profile import Profile
from mlxk.contract.notes import note

TierName = Literal["standard", "fast", "longctx"]
HYBRID = "mamba2-hybrid"
LONG_CONTEXT_GB = 16.0


@dataclass(frozen=True, slots=True)
class Ranked:
    """A model that may be used here."""

    model: str
    quant: str
    hf_repo: str | None
    score: float
    gen_tps: float
    memory_gb: float
    is_estimated: bool
    quality: float | None


@dataclass(frozen=True, slots=True)
class Excluded:
    model: str
    reason: Literal["no_benchmark", "over_budget", "gated", "unsupported"]


@dataclass(frozen=True, slots=True)
class Tier:
    tier: TierName
    model: str
    quant: str
    score: float
    gen_tps: float
    memory_gb: float
    is_estimated: bool


@dataclass(frozen=True, slots=True)
class Unfit:
    """A tier whose best model would push the sum over the budget."""

    tier: TierName
    model: str
    memory_gb: float


@dataclass(frozen=True, slots=True)
class Question:
    profile: Profile
    budget_gb: float
    intent: str
    quant: str
    saved: Mapping[str, Benchmark]


@dataclass(frozen=True, slots=True)
class Recommendation:
    tiers: tuple[Tier, ...]
    unfit: tuple[Unfit, ...]
    ranked: tuple[Ranked, ...]
    excluded: tuple[Excluded, ...]
    total_memory_gb: float


def recommend(catalog: Catalog, question: Question) -> Recommendation:
    ranked: list[Ranked] = []
    excluded: list[Excluded] = []
    hybrids: set[str] = set()
    for entry in catalog.entries:
        match _judge(entry, question):
            case Ranked() as good:
                ranked.append(good)
                hybrids |= {entry.id} if entry.architecture == HYBRID else set()
            case Excluded() as bad:
                excluded.append(bad)
    ranked.sort(key=lambda r: (-r.score, r.model))
    tiers, unfit = _tiers(ranked, hybrids, question.budget_gb)
    total = round(sum(t.memory_gb for t in tiers), 2)
    return Recommendation(tiers, unfit, tuple(ranked), tuple(excluded), total)


def quant_of(entry: Entry, wanted: str) -> str:
    """The wanted quantisation, else the first there is a source for."""
    return wanted if wanted in entry.sources else next(iter(entry.sources), wanted)


def _judge(entry: Entry, question: Question) -> Ranked | Excluded:
    if entry.gated:
        return Excluded(entry.id, "gated")
    quant = quant_of(entry, question.quant)
    source = entry.sources.get(quant)
    saved = question.saved.get(source.hf_repo if source else "") or question.saved.get(entry.id)
    known = score.figures(entry, quant, question.profile, saved)
    if source is None:
        return Excluded(entry.id, "unsupported")
    if known is None:
        return Excluded(entry.id, "no_benchmark")
    if known.memory_gb > question.budget_gb:
        return Excluded(entry.id, "over_budget")
    return Ranked(
        model=entry.id,
        quant=quant,
        hf_repo=source.hf_repo,
        score=round(score.score(entry, known, question.budget_gb, question.intent), 4),
        gen_tps=round(known.gen_tps, 1),
        memory_gb=round(known.memory_gb, 2),
        is_estimated=known.is_estimated,
        quality=entry.quality.overall,
    )


_ROUNDING = 0.00501  # figures are shown in hundredths: one that fits exactly may look larger


def _tiers(
    ranked: list[Ranked], hybrids: set[str], budget_gb: float
) -> tuple[tuple[Tier, ...], tuple[Unfit, ...]]:
    """Standard, then fast, then longctx: each only if the sum still fits."""
    tiers: list[Tier] = []
    unfit: list[Unfit] = []
    for name in ("standard", "fast", "longctx"):
        used = {tier.model for tier in tiers}
        best = _best(name, [r for r in ranked if r.model not in used], hybrids, budget_gb)
        if best is None:
            continue
        together = sum(t.memory_gb for t in tiers) + best.memory_gb
        if together > budget_gb + _ROUNDING * (len(tiers) + 1):
            unfit.append(Unfit(name, best.model, best.memory_gb))
            continue
        tiers.append(_tier(name, best))
    return tuple(tiers), tuple(unfit)


def _best(tier: TierName, rest: list[Ranked], hybrids: set[str], budget_gb: float) -> Ranked | None:
    """`rest` is in order of score."""
    match tier:
        case "standard":
            return next(iter(rest), None)
        case "fast":
            return min(rest, key=lambda r: (-r.gen_tps, r.model), default=None)
        case "longctx":
            able = budget_gb >= LONG_CONTEXT_GB
            return next((r for r in rest if r.model in hybrids), None) if able else None


def _tier(name: TierName, best: Ranked) -> Tier:
    return Tier(
        tier=name,
        model=best.model,
        quant=best.quant,
        score=best.score,
        gen_tps=best.gen_tps,
        memory_gb=best.memory_gb,
        is_estimated=best.is_estimated,
    )


def warn(found: Recommendation) -> None:
    """A standard model of low or unknown quality is said to be one."""
    first = next((t.model for t in found.tiers if t.tier == "standard"), None)
    quality = next((r.quality for r in found.ranked if r.model == first), None)
    if first is not None and (quality is None or quality < 50):
        known = "unknown" if quality is None else f"{quality:g} of 100"
        note("low_quality_standard", f"{first}: its quality is {known}")
