"""What the machine means for models: memory, bandwidth and an id. Knows no model."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from mlxk.contract import encoding
from mlxk.contract.errors import MlxkError
from mlxk.contract.notes import note
from mlxk.system import files
from mlxk.system.accelerator import Machine, machine

GIB = 1 << 30

# GB/s by chip; of chips with two memory systems, by GPU cores.
_APPLE: dict[str, float | dict[int, float]] = {
    "m1": 68.25, "m1-pro": 200, "m1-max": 400, "m1-ultra": 800,
    "m2": 100, "m2-pro": 200, "m2-max": 400, "m2-ultra": 800,
    "m3": 100, "m3-pro": 150, "m3-max": {30: 300, 40: 400}, "m3-ultra": 819,
    "m4": 120, "m4-pro": 273, "m4-max": {32: 410, 40: 546},
    "m5": 153, "m5-pro": 307, "m5-max": {32: 460, 40: 614},
}  # fmt: skip
# GB/s as NVIDIA's data sheets give them.
_NVIDIA = {
    "h200": 4800, "h100": 3350, "h100-pcie": 2039, "h100-nvl": 3938, "a100-sxm4-40gb": 1555,
    "a100-sxm4-80gb": 2039, "a100-80gb-pcie": 1935, "l40s": 864, "l4": 300, "a10": 600,
    "a10g": 600, "rtx-3090": 936, "rtx-4090": 1008, "rtx-5090": 1792,
}  # fmt: skip
_BY_MEMORY = ((8, 68.0), (16, 100.0), (32, 200.0), (64, 400.0), (128, 546.0))
_MOST = 800.0


@dataclass(frozen=True, slots=True)
class DeviceRow:
    index: int
    name: str
    memory_gb: float


@dataclass(frozen=True, slots=True)
class Profile:
    """`memory_gb` in GiB; `is_estimate`: the bandwidth was guessed by the amount of memory."""

    backend: str
    chip: str
    gpu_cores: int | None
    devices: tuple[DeviceRow, ...]
    memory_gb: float
    bandwidth_gbps: float
    is_estimate: bool
    profile_id: str


def profile_of(found: Machine) -> Profile:
    memory = round(found.memory_bytes / GIB, 1)
    name = slug(found.chip) if found.backend != "cpu" else "cpu"
    known = bandwidth(name, found.gpu_cores)
    return Profile(
        backend=found.backend,
        chip=found.chip,
        gpu_cores=found.gpu_cores,
        devices=tuple(DeviceRow(d.index, d.name, _gib(d.memory_mib)) for d in found.devices),
        memory_gb=memory,
        bandwidth_gbps=by_memory(memory) if known is None else known,
        is_estimate=known is None,
        profile_id=f"{_family(name)}-{round(found.memory_bytes / GIB)}",
    )


def slug(chip: str) -> str:
    """`Apple M4 Max` is `m4-max`, `NVIDIA GeForce RTX 4090` is `rtx-4090`."""
    text = re.sub(r"\b(apple|nvidia|geforce|tesla|gpu|hbm\d\w*)\b", " ", chip.lower())
    if "h100" in text or "h200" in text:
        text = re.sub(r"\b\d+gb\b", " ", text)
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-") or "unknown"


def bandwidth(name: str, cores: int | None = None) -> float | None:
    """GB/s of a chip by its slug; None when it is not in the tables."""
    known = _APPLE.get(name, _NVIDIA.get(name))
    if isinstance(known, dict):
        return known.get(cores or 0)
    return None if known is None else float(known)


def by_memory(memory_gb: float) -> float:
    return next((speed for limit, speed in _BY_MEMORY if memory_gb <= limit), _MOST)


def detected(home: Path, *, refresh: bool = False, save: bool = True) -> Profile:
    """The saved profile, else a fresh one, which is saved where it can be: looking is slow."""
    path = home / "profile.json"
    if not refresh and (saved := _saved(path)) is not None:
        return saved
    found = profile_of(machine())
    if save:
        try:
            files.write_atomic(path, encoding.dumps(asdict(found), newline=True, indent=True))
        except (MlxkError, OSError) as e:
            note("not_saved", f"the profile is not kept for the next time: {e}")
    return found


def _saved(path: Path) -> Profile | None:
    """A profile that cannot be read is detected anew."""
    try:
        value = encoding.loads(path.read_bytes())
        devices = tuple(DeviceRow(**row) for row in value.pop("devices"))
        return Profile(**value, devices=devices)
    except (OSError, MlxkError, TypeError, KeyError, AttributeError):
        return None


def _gib(mib: int) -> float:
    return round(mib / 1024, 1)


def _family(name: str) -> str:
    return re.sub(r"-(sxm\d?|pcie|\d+gb)", "", name)
