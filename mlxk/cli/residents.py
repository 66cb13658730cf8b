"""Which models a server holds, and which of them it loads at once."""

from dataclasses import dataclass
from pathlib import Path

from mlxk.deploy.document import seconds
from mlxk.engine.named import engine
from mlxk.engine.options import EngineOptions
from mlxk.hub import names
from mlxk.server.residency import House, Resident
from mlxk.system import hardware

# The rest is for the sequences, the system and everybody else.
_SHARE = 0.7
_UNKNOWN_MEMORY = 8 << 30


@dataclass(frozen=True, slots=True)
class Wanted:
    """`model_id` is the name under which the only model is served."""

    names: tuple[str, ...]
    limits: EngineOptions
    keep_alive: str | None
    memory_gb: float | None
    model_id: str | None = None


def residents(wanted: Wanted) -> tuple[list[Resident], list[Resident]]:
    """All of them, and those that fit together. One alone is never unloaded for want of room."""
    house = House(_budget(wanted))
    alone = len(wanted.names) == 1
    lodgers = [_resident(name, wanted, house, alone=alone) for name in dict.fromkeys(wanted.names)]
    first, taken = [], 0
    for each in lodgers:
        if alone or taken + each.weight_bytes <= house.budget_bytes:
            first.append(each)
            taken += each.weight_bytes
    return lodgers, first


def _resident(name: str, wanted: Wanted, house: House, *, alone: bool) -> Resident:
    judged = engine(name, wanted.limits)
    return Resident(
        wanted.model_id or judged.name,
        lambda: engine(name, wanted.limits),
        0 if alone else _weight_bytes(names.resolve(name).folder),
        house,
        keep_alive_s=seconds(wanted.keep_alive) if wanted.keep_alive else None,
    )


def _weight_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _budget(wanted: Wanted) -> int:
    if wanted.memory_gb is not None:
        return int(wanted.memory_gb * 1e9)
    return int((hardware.memory_total_bytes() or _UNKNOWN_MEMORY) * _SHARE)
