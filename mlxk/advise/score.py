"""How good a model is for an intent on a machine: formulas over numbers."""

from dataclasses import dataclass
from math import log
from types import MappingProxyType

from mlxk.advise.catalog import Benchmark, Entry
from mlxk.advise.memory import SPARE, weights_gb
from mlxk.advise.profile import Profile


@dataclass(frozen=True, slots=True)
class Weights:
    speed: float
    quality: float
    tool_calling: float
    memory: float


INTENTS: MappingProxyType[str, Weights] = MappingProxyType(
    {
        "balanced": Weights(0.25, 0.40, 0.15, 0.20),
        "agent-fleet": Weights(0.30, 0.20, 0.35, 0.15),
    }
)
# Machines whose figures stand for others: throughput goes with bandwidth.
REFERENCES = (("m4-pro-48", 273.0), ("m4-max-128", 546.0), ("m5-max-128", 614.0))


@dataclass(frozen=True, slots=True)
class Figures:
    """What a model does on this machine; `is_estimated`: it was not measured on one like it."""

    gen_tps: float
    memory_gb: float
    is_estimated: bool


def figures(
    entry: Entry, quant: str, profile: Profile, saved: Benchmark | None = None
) -> Figures | None:
    """A saved benchmark, else the catalog's for this profile, else an estimate; None: none."""
    listed = _listed(entry, profile)
    if saved is None and listed is None:
        return None
    known = (saved and saved.memory_gb) or (listed and listed.memory(quant))
    memory = known or _weights(entry, quant) * SPARE
    if saved is not None:
        return Figures(saved.gen_tps, memory, known is None)
    assert listed is not None
    return Figures(listed.tps(quant), memory, known is None or not listed.is_own or quant != "int4")


def score(entry: Entry, known: Figures, budget_gb: float, intent: str) -> float:
    weights = INTENTS[intent]
    overall = entry.quality.overall or 0.0
    return (
        weights.speed * speed(known.gen_tps)
        + weights.quality * overall / 100
        + weights.tool_calling * float(entry.capabilities.tool_calling)
        + weights.memory * memory_efficiency(known.memory_gb, budget_gb)
    )


def speed(tps: float) -> float:
    """0 to 1; 200 tokens a second are as fast as anybody reads."""
    return min(1.0, log(1 + tps) / log(201))


def memory_efficiency(memory_gb: float, budget_gb: float) -> float:
    return min(1.0, max(0.0, (budget_gb - memory_gb) / budget_gb)) if budget_gb > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Listed:
    """The catalog's figures, of int4 weights; `factor` makes another machine's speed ours."""

    bench: Benchmark
    factor: float
    is_own: bool

    def tps(self, quant: str) -> float:
        return self.bench.gen_tps * self.factor / _width(quant)

    def memory(self, quant: str) -> float | None:
        known = self.bench.memory_gb
        return None if known is None else known * _width(quant)


def _listed(entry: Entry, profile: Profile) -> _Listed | None:
    if (own := entry.benchmarks.get(profile.profile_id)) is not None:
        return _Listed(own, 1.0, is_own=True)
    for reference, speed_there in REFERENCES:
        if (bench := entry.benchmarks.get(reference)) is not None:
            return _Listed(bench, profile.bandwidth_gbps / speed_there, is_own=False)
    return None


def _width(quant: str) -> float:
    """How much wider than int4 the weights are."""
    return weights_gb(1, quant) / weights_gb(1, "int4")


def _weights(entry: Entry, quant: str) -> float:
    source = entry.sources.get(quant)
    known = source.disk_size_gb if source else None
    return weights_gb(entry.params_b, quant) if known is None else known
