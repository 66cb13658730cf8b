"""What this machine is: memory, chip, and the MLX backend it could use. Never imports MLX."""

import os
import platform
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from mlxk.system.packages import installed_version

Backend = Literal["metal", "cuda", "cpu"]


@dataclass(frozen=True, slots=True)
class System:
    memory_total_bytes: int | None
    backend: Backend | None
    chip: str | None


def system() -> System:
    return System(memory_total_bytes(), backend(), chip())


def memory_total_bytes() -> int | None:
    """Physical memory, or the cgroup's limit where that is lower."""
    total: int | None = None
    with suppress(OSError, ValueError):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        total = min(total, limit) if total else limit
    return total


def backend() -> Backend | None:
    """Which MLX backend is installed; None when `import mlx.core` would fail."""
    if find_spec("mlx") is None:
        return None
    if sys.platform == "darwin":
        return "metal"
    if installed_version("mlx-cuda-13") or installed_version("mlx-cuda-12"):
        return "cuda"
    return "cpu" if installed_version("mlx-cpu") else None


def install_hint() -> str:
    """The line that installs an MLX backend on this platform."""
    if sys.platform == "darwin":
        return "pip install mlx"
    extra = "cuda13" if has("nvidia-smi") else "cpu"
    return f"pip install 'mlxk[{extra}]'"


def chip() -> str | None:
    if sys.platform == "darwin":
        return _macos_chip()
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def has(program: str) -> bool:
    return shutil.which(program) is not None


def _macos_chip() -> str | None:
    import subprocess  # noqa: PLC0415

    argv = ["sysctl", "-n", "machdep.cpu.brand_string"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip() or None
