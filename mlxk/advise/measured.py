"""Benchmarks that were measured on this machine: one JSON file a profile."""

from pathlib import Path

from mlxk.advise.catalog import Benchmark
from mlxk.contract import encoding
from mlxk.contract.errors import CorruptState, InvalidDocument


def measured(home: Path, profile_id: str) -> dict[str, Benchmark]:
    """By catalog id; empty when nothing was saved yet."""
    path = home / "benchmarks" / f"{profile_id}.json"
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
