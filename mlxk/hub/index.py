"""Write the index of a sharded model anew from what the shards hold; invents nothing."""

import re
from pathlib import Path

import orjson

from mlxk.contract.errors import ModelUnhealthy
from mlxk.hub import decoder, reading, weights
from mlxk.hub.reading import INDEX, Reading
from mlxk.system.files import write_atomic

_SHARD = re.compile(r"model-\d+-of-(\d+)\.safetensors")


def require_whole(folder: Path) -> None:
    """Refuse when any tensor would be missing from an index of what is here."""
    found = reading.read(folder)
    if reason := _refusal(found, _shards(found)):
        raise ModelUnhealthy(
            f"{folder}: no index can be made: {reason}",
            hint="an index cannot replace weights that are not there: mlxk pull repairs the model",
        )


def repair(folder: Path) -> int:
    """Returns how many tensors the new index names."""
    require_whole(folder)
    found = reading.read(folder)
    shards = _shards(found)
    names = {t: shard for shard in shards for t in found.headers[shard].shapes}
    total = sum((folder / shard).stat().st_size for shard in shards)
    value = {"metadata": {"total_size": total}, "weight_map": dict(sorted(names.items()))}
    write_atomic(folder / INDEX, orjson.dumps(value, option=orjson.OPT_INDENT_2))
    return len(names)


def _shards(found: Reading) -> list[str]:
    return sorted(name for name in found.headers if name.startswith("model"))


def _refusal(found: Reading, shards: list[str]) -> str | None:
    if not shards:
        return "there are no weights"
    for shard in shards:
        if problem := found.headers[shard].problem:
            return f"{shard}: {problem}"
    for shard in shards:
        if (match := _SHARD.fullmatch(shard)) and int(match[1]) > len(shards):
            return f"{shard} says there are {int(match[1])} shards, {len(shards)} are here"
    shapes = {k: v for shard in shards for k, v in found.headers[shard].shapes.items()}
    # The old index is believed where it names tensors: what it knew must still be there.
    if absent := sorted(weights.weight_map(found).keys() - shapes.keys()):
        return f"tensor {absent[0]} and {len(absent) - 1} more are in no shard"
    return next(decoder.problems(found.config, shapes), None)
