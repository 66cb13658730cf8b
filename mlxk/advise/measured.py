"""Benchmarks that were measured on this machine: one JSON file a profile."""

from dataclasses import asdict, replace
from pathlib import Path

from mlxk.advise.catalog import Benchmark
from mlxk.contract import encoding
from mlxk.contract.errors import CorruptState, InvalidDocument
from mlxk.system import files


def measured(home: Path, profile_id: str) -> dict[str, Benchmark]:
    """By repository or catalog id; empty when nothing was saved yet."""
    path = _path(home, profile_id)
    try:
        value = encoding.loads(path.read_bytes(), str(path))
    except FileNotFoundError:
        return {}
    except InvalidDocument as e:
        raise CorruptState(str(e), hint=f"delete {path}", path=str(path)) from e
    try:
        return {name: Benchmark(**row) for name, row in value.items()}
    except (TypeError, AttributeError) as e:
        message = f"{path} holds no benchmarks"
        raise CorruptState(message, hint=f"delete {path}", path=str(path)) from e


def save(home: Path, profile_id: str, name: str, benchmark: Benchmark) -> Path:
    """Beside those of other models. Memory that was not measured does not replace what was."""
    path = _path(home, profile_id)
    with files.locked(path.with_suffix(".lock"), wait=True):
        known = measured(home, profile_id)
        if benchmark.memory_gb is None and name in known:
            benchmark = replace(benchmark, memory_gb=known[name].memory_gb)
        rows = {key: asdict(row) for key, row in sorted({**known, name: benchmark}.items())}
        files.write_atomic(path, encoding.dumps(rows, newline=True, indent=True))
    return path


def _path(home: Path, profile_id: str) -> Path:
    return home / "benchmarks" / f"{profile_id}.json"
