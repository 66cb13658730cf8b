"""What computes here: backend, chip, GPU cores and devices, asked of the system's own tools."""

import json
import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from mlxk.system import hardware

Run = Callable[[list[str]], str]


@dataclass(frozen=True, slots=True)
class Device:
    index: int
    name: str
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Machine:
    """`memory_bytes` is the memory a model can use: unified, of one device, or the host's."""

    backend: Literal["metal", "cuda", "cpu"]
    chip: str
    gpu_cores: int | None
    devices: tuple[Device, ...]
    memory_bytes: int


def machine(run: Run | None = None, *, system: str = sys.platform) -> Machine:
    """Never imports MLX: it would take the device."""
    ask = run or _output
    if system == "darwin":
        return _mac(ask)
    devices = nvidia_devices(ask(_NVIDIA)) if run or hardware.has("nvidia-smi") else ()
    if devices:
        least = min(device.memory_mib for device in devices)
        return Machine("cuda", devices[0].name, None, devices, least << 20)
    chip = hardware.chip() or platform.machine()
    return Machine("cpu", chip, None, (), hardware.memory_total_bytes() or 0)


def nvidia_devices(text: str) -> tuple[Device, ...]:
    """From `nvidia-smi --query-gpu=index,name,memory.total`; what is no such row is left out."""
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 3 and fields[0].isdigit() and fields[2].isdigit():
            found.append(Device(int(fields[0]), fields[1], int(fields[2])))
    return tuple(found)


def gpu_cores(text: str) -> int | None:
    """From `system_profiler SPDisplaysDataType -json`."""
    with suppress(ValueError, AttributeError, TypeError, KeyError):
        for display in json.loads(text)["SPDisplaysDataType"]:
            if str(display.get("sppci_cores", "")).isdigit():
                return int(display["sppci_cores"])
    return None


_NVIDIA = ["nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits"]


def _mac(ask: Run) -> Machine:
    chip = ask(["sysctl", "-n", "machdep.cpu.brand_string"]).strip() or platform.machine()
    memory = ask(["sysctl", "-n", "hw.memsize"]).strip()
    cores = gpu_cores(ask(["system_profiler", "SPDisplaysDataType", "-json"]))
    return Machine("metal", chip, cores, (), int(memory) if memory.isdigit() else 0)


def _output(argv: list[str]) -> str:
    import subprocess  # noqa: PLC0415 -- 10 ms that a cached profile does not pay

    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
        return done.stdout if done.returncode == 0 else ""
    return ""
