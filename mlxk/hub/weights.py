"""Are all weights of a model there and whole? Knows shards and indexes, no architectures."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import cast

from mlxk.hub import containers, decoder
from mlxk.hub.inspect import Facts
from mlxk.hub.reading import INDEX, TORCH_INDEX, Reading

_SHARD = re.compile(r"(?P<stem>.*)-(?P<number>\d{5,})-of-(?P<count>\d{5,})(?P<ending>\.\w+)")
_TORCH = (".bin", ".pt", ".pth")
# Saved beside the weights by trainers; no loader takes them for the model.
_NOT_WEIGHTS = ("training_args.bin", "optimizer.pt", "scheduler.pt", "optimizer.bin", "scaler.pt")


def problems(reading: Reading, facts: Facts) -> Iterator[str]:
    match facts.framework:
        case "GGUF":
            broken = ((name, front.problem) for name, front in reading.fronts.items())
            yield from (f"{name}: {problem}" for name, problem in broken if problem)
            yield from _absent_shards(reading.fronts)
        case "MLX" if not reading.named(".npz"):
            found = tuple(_safetensors(reading, _loaded(reading, facts)))
            yield from found or _architecture(reading)
        case "PyTorch" if reading.headers:
            yield from _safetensors(reading, tuple(reading.headers))
            yield from _unindexed(reading)
        case "MLX" | "PyTorch":
            yield from _containers(reading)
        case "Unknown":
            yield "no weights: neither safetensors, GGUF nor PyTorch files are here"


def warnings(reading: Reading) -> Iterator[str]:
    """Oddities that no loader trips over."""
    if isinstance(problem := reading.documents.get(INDEX), str):
        yield f"{INDEX}: {problem}; mlx-lm loads the shards without it"
    elif INDEX in reading.documents:
        yield from _stale(reading)
    for name, header in reading.headers.items():
        if header.problem and not name.startswith("model"):
            yield f"{name}: {header.problem}; mlx-lm reads model*.safetensors only"


def weight_map(reading: Reading) -> dict[str, str]:
    """Tensor to file, as the index says; empty when it says nothing usable."""
    value = reading.document(INDEX).get("weight_map")
    is_usable = isinstance(value, dict) and set(map(type, value.values())) == {str}
    return cast("dict[str, str]", value) if is_usable else {}


def _loaded(reading: Reading, facts: Facts) -> tuple[str, ...]:
    """What mlx-lm's `glob("model*.safetensors")` finds; models of other loaders have free names."""
    names = tuple(name for name in reading.headers if name.startswith("model"))
    return names if names or facts.kind in ("chat", "base") else tuple(reading.headers)


def _safetensors(reading: Reading, loaded: tuple[str, ...]) -> Iterator[str]:
    index = weight_map(reading)
    if escaping := sorted(name for name in set(index.values()) if _escapes(name)):
        yield f"{INDEX}: names {escaping[0]!r}, which is outside the folder"
        return
    if not loaded:
        absent = sorted(set(index.values()))
        yield f"{absent[0] if absent else 'model.safetensors'}: missing, there are no weights"
        return
    broken = [f"{name}: {p}" for name in loaded if (p := reading.headers[name].problem)]
    yield from broken
    present: set[str] = set().union(*(reading.headers[name].shapes for name in loaded))
    if index:
        yield from _uncovered(index, present, {n for n in loaded if reading.headers[n].problem})
    elif not broken and "model.safetensors" not in loaded:
        yield from _absent_shards(loaded)
    if not broken and not present:
        yield f"{loaded[0]}: holds no tensors"


def _architecture(reading: Reading) -> Iterator[str]:
    names = [name for name in reading.headers if name.startswith("model")]
    shapes = {k: v for name in names for k, v in reading.headers[name].shapes.items()}
    yield from decoder.problems(reading.config, shapes)


def _uncovered(index: dict[str, str], present: set[str], broken: set[str]) -> Iterator[str]:
    """The first missing tensor of each file; those of a broken file are accounted for."""
    lacking: dict[str, list[str]] = {}
    for tensor in index.keys() - present:
        if (name := index[tensor]) not in broken:
            lacking.setdefault(name, []).append(tensor)
    for name, tensors in sorted(lacking.items()):
        more = f" and {len(tensors) - 1} more" if len(tensors) > 1 else ""
        yield f"{name}: tensor {min(tensors)}{more} missing, the index names it"


def _stale(reading: Reading) -> Iterator[str]:
    index = weight_map(reading)
    if not index:
        yield f"{INDEX}: has no weight_map; mlx-lm loads the shards without it"
        return
    if absent := sorted(n for n in set(index.values()) - set(reading.headers) if not _escapes(n)):
        yield f"{INDEX}: stale, it names {absent[0]}, which is not here"


def _absent_shards(names: Iterable[str]) -> Iterator[str]:
    """Shards that the numbering of the others promises, unless another numbering is complete."""
    series: dict[tuple[str, int, str], set[int]] = {}
    for name in names:
        if match := _SHARD.fullmatch(name):
            key = (match["stem"], int(match["count"]), match["ending"])
            series.setdefault(key, set()).add(int(match["number"]))
    if any(len(numbers) == count for (_, count, _), numbers in series.items()):
        return
    for (stem, count, ending), numbers in sorted(series.items()):
        for number in range(1, min(count, 10_000) + 1):
            if number not in numbers:
                yield f"{stem}-{number:05}-of-{count:05}{ending}: missing"
                break


def _unindexed(reading: Reading) -> Iterator[str]:
    """transformers takes one model.safetensors, or shards by their index."""
    indexed = "model.safetensors" in reading.headers or INDEX in reading.documents
    if not indexed and any(_SHARD.fullmatch(name) for name in reading.headers):
        yield f"{INDEX}: missing, the shards cannot be found without it"


def _containers(reading: Reading) -> Iterator[str]:
    names = tuple(n for n in reading.named(".npz", *_TORCH) if n not in _NOT_WEIGHTS)
    if not names:
        yield "pytorch_model.bin: missing, there are no weights"
    yield from _each(reading, names)
    value = reading.document(TORCH_INDEX).get("weight_map")
    if isinstance(problem := reading.documents.get(TORCH_INDEX), str):
        yield f"{TORCH_INDEX}: {problem}"
    elif isinstance(value, dict):
        for name in sorted({str(v) for v in value.values()} - set(names)):
            yield f"{name}: missing, the index names it"


def _each(reading: Reading, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        file = reading.contents.find(name)
        if file and not file.problem and (found := containers.problem(reading.contents.path(name))):
            yield f"{name}: {found}"
    yield from _absent_shards(names)


def _escapes(name: str) -> bool:
    return name.startswith("/") or posixpath.normpath(name).split("/")[0] == ".." or "\\" in name
