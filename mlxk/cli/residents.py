"""Which models a server holds, what each will take, and which of them it loads at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from mlxk.advise.memory import estimate
from mlxk.contract.notes import note
from mlxk.deploy import weigh
from mlxk.engine.named import engine
from mlxk.engine.options import EngineOptions
from mlxk.hub import names
from mlxk.server.residency import House, Resident
from mlxk.system import clock, hardware

# The rest is for the system and everybody else.
_SHARE = 0.7
_UNKNOWN_MEMORY = 8 << 30


@dataclass(frozen=True, slots=True)
class Wanted:
    """`model_id` is the name under which the only model is served; the key is in the variable
    `key_env` or in `key_file`."""

    names: tuple[str, ...]
    limits: EngineOptions
    keep_alive: str | None
    memory_gb: float | None
    model_id: str | None = None
    key_env: str | None = None
    key_file: Path | None = None


def residents(wanted: Wanted) -> tuple[list[Resident], list[Resident]]:
    """All of them, and those that fit together. One alone is never unloaded for want of room."""
    house = House(_budget(wanted))
    alone = len(wanted.names) == 1
    lodgers = [_resident(name, wanted, house, alone=alone) for name in dict.fromkeys(wanted.names)]
    first, taken = [], 0
    for each in lodgers:
        if alone or taken + each.needed_bytes <= house.budget_bytes:
            first.append(each)
            taken += each.needed_bytes
    return lodgers, first


def folders(wanted: Wanted, lodgers: Sequence[Resident]) -> dict[str, str]:
    """Where the files of each model are, by the name that it has here."""
    asked = dict.fromkeys(wanted.names)
    return {
        each.name: str(names.resolve(name).folder.resolve())
        for name, each in zip(asked, lodgers, strict=True)
    }


def _resident(name: str, wanted: Wanted, house: House, *, alone: bool) -> Resident:
    judged = engine(name, wanted.limits)
    resident = Resident(
        wanted.model_id or judged.name,
        lambda: engine(name, wanted.limits),
        _needed_bytes(name, wanted, house.budget_bytes, alone=alone),
        house,
    )
    resident.stay(clock.seconds(wanted.keep_alive) if wanted.keep_alive else inf)
    return resident


def _needed_bytes(name: str, wanted: Wanted, budget: int, *, alone: bool) -> int:
    """Weights (of a draft model, too), one conversation of full length, and a tenth, as every
    command reckons.

    Where only the conversation is too long for the budget, the model may have all of it: its
    engine keeps to the memory that is free. One alone only keeps to a budget that was named.
    """
    if alone and wanted.memory_gb is None:
        return 0
    found = weigh.measured(names.resolve(name))
    cache = weigh.cache_of(found.metadata, wanted.limits.context, wanted.limits.kv_bits)
    weights, draft = found.weight_bytes, wanted.limits.draft
    if isinstance(draft, Path):
        weights += weigh.measured(names.resolve(str(draft))).weight_bytes
    bare = int(estimate(weights, None).total_gb * 1e9)
    whole = int(estimate(weights, cache).total_gb * 1e9)
    if bare <= budget < whole and not alone:
        message = f"{found.name} needs {whole} bytes at its full context and will be alone"
        note("alone_in_memory", f"{message}: a smaller --context makes room for others")
    return max(bare, min(whole, budget))


def _budget(wanted: Wanted) -> int:
    if wanted.memory_gb is not None:
        return int(wanted.memory_gb * 1e9)
    return int((hardware.memory_total_bytes() or _UNKNOWN_MEMORY) * _SHARE)
