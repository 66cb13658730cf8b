"""Would the framework's own loader load these files? Decided without any framework."""

from collections.abc import Iterator
from pathlib import Path

from mlxk.hub import tokenizer, weights
from mlxk.hub.inspect import Facts, facts
from mlxk.hub.model import Verdict
from mlxk.hub.reading import CONFIG, GENERATION, Document, Reading, read
from mlxk.hub.text import count_of

# Files that loaders look for by themselves; a broken link among the others harms nobody.
_LOADED = (".json", ".safetensors", ".npz", ".gguf", ".bin", ".model", ".jinja", ".tiktoken")
_LOADED_TEXTS = ("merges.txt", "vocab.txt")


def judge(folder: Path, *, name: str = "") -> Verdict:
    reading = read(folder)
    return examine(reading, facts(reading, name))


def examine(reading: Reading, facts: Facts) -> Verdict:
    if reading.contents.problem is not None:
        return verdict((reading.contents.problem,))
    problems = [
        *_links(reading),
        *_config(reading, facts),
        *weights.problems(reading, facts),
        *tokenizer.problems(reading, facts),
    ]
    warnings = (*_dangling_extras(reading), *weights.warnings(reading))
    return verdict(tuple(dict.fromkeys(problems)), warnings)


def verdict(problems: tuple[str, ...], warnings: tuple[str, ...] = ()) -> Verdict:
    return Verdict(not problems, problems[0] if problems else None, problems, warnings)


def _links(reading: Reading) -> Iterator[str]:
    for file in reading.contents.files:
        if file.problem and (_is_loaded(file.name) or "leaves" in file.problem):
            yield f"{file.name}: {file.problem}"


def _dangling_extras(reading: Reading) -> Iterator[str]:
    for file in reading.contents.files:
        if file.problem and not _is_loaded(file.name) and "leaves" not in file.problem:
            yield f"{file.name}: {file.problem}"


def _is_loaded(name: str) -> bool:
    return name.endswith(_LOADED) or name in _LOADED_TEXTS


def _config(reading: Reading, facts: Facts) -> Iterator[str]:
    if facts.framework == "GGUF":
        return
    config = reading.documents.get(CONFIG, "missing")
    if isinstance(config, str):
        yield f"{CONFIG}: {config}"
        return
    if facts.kind != "unknown" and facts.architecture is None:
        yield f"{CONFIG}: has no model_type"
    elif facts.framework == "MLX" and (found := _field(config)):
        yield f"{CONFIG}: {found}"
    yield from _generation(reading)


def _field(config: Document) -> str | None:
    """Fields that mlx-lm and transformers read of every model; other types make them fail."""
    packed, legacy = config.get("quantization"), config.get("quantization_config")
    if packed is not None and not (
        isinstance(packed, dict) and {"bits", "group_size"} <= packed.keys()
    ):
        return "quantization has no bits or no group_size"
    if packed is None and legacy and not (isinstance(legacy, dict) and "quant_method" in legacy):
        return "quantization_config has no quant_method"
    if not isinstance(config.get("text_config", {}), dict):
        return "text_config is not an object"
    if not isinstance(config.get("architectures"), list | str | None):
        return "architectures is not a list"
    return None if _are_ids(config.get("eos_token_id")) else "eos_token_id is not a number"


def _are_ids(value: object) -> bool:
    return value is None or all(
        count_of(v) is not None for v in (value if isinstance(value, list) else [value])
    )


def _generation(reading: Reading) -> Iterator[str]:
    # mlx-lm forgives broken JSON in this one file, nothing else.
    problem = reading.documents.get(GENERATION)
    if isinstance(problem, str) and problem in ("is not UTF-8", "is not a JSON object"):
        yield f"{GENERATION}: {problem}"
