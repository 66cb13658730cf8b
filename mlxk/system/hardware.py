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
    for package, name in (("mlx-cuda-13", "cuda"), ("mlx-cuda-12", "cuda"), ("mlx-cpu", "cpu")):
        if _is_installed(package):
            return "cuda" if name == "cuda" else "cpu"
    return None


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


def _is_installed(package: str) -> bool:
    """Whether a distribution is there, by its metadata folder: importlib.metadata costs 20 ms."""
    stem = package.replace("-", "_")
    folders = (Path(p) for p in sys.path if p)
    return any(next(f.glob(f"{stem}-*.dist-info"), None) for f in folders if f.is_dir())
