"""The shipped list of models, and anybody's own: YAML files, each checked by its schema."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlxk.contract import validate
from mlxk.contract.errors import InvalidValue, NotFound

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SCHEMA = "documents/catalog-entry"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the weights of one quantisation are."""

    hf_repo: str
    disk_size_gb: float | None
    convert_from: str | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    tool_calling: bool
    tool_call_parser: str | None
    thinking: bool
    reasoning_parser: str | None
    vision: bool


@dataclass(frozen=True, slots=True)
class Quality:
    """0 to 100; null where no figure is known. `source` says whose figures these are."""

    overall: float | None
    coding: float | None
    reasoning: float | None
    instruction_following: float | None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Benchmark:
    prompt_tps: float | None
    gen_tps: float
    memory_gb: float | None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    name: str
    family: str
    params_b: float
    architecture: str
    min_mlx_lm_version: str | None
    sources: dict[str, Source]
    capabilities: Capabilities
    quality: Quality
    benchmarks: dict[str, Benchmark]
    tags: tuple[str, ...]
    gated: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in one file."""

    file: str
    pointer: str
    message: str


@dataclass(frozen=True, slots=True)
class Catalog:
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]

    def find(self, name: str) -> Entry:
        """By id, or by one of its repositories."""
        for entry in self.entries:
            if name == entry.id or name in {s.hf_repo for s in entry.sources.values()}:
                return entry
        from difflib import get_close_matches  # noqa: PLC0415 -- only when a name is wrong

        near = get_close_matches(name, [entry.id for entry in self.entries], n=1)
        hint = f"mlxk catalog show {near[0]}" if near else "mlxk catalog list"
        raise NotFound(f"the catalog has no model {name!r}", hint=hint, name=name)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries: all conditions hold."""

    family: str | None = None
    tag: str | None = None
    tool_calling: bool = False

    def matches(self, entry: Entry) -> bool:
        return (
            (self.family is None or entry.family.lower() == self.family.lower())
            and (self.tag is None or self.tag in entry.tags)
            and (not self.tool_calling or entry.capabilities.tool_calling)
        )


def load(folder: Path | None = None) -> Catalog:
    """The shipped catalog, or the `*.yaml` of a folder. One bad file does not hide the others."""
    entries: dict[str, Entry] = {}
    found: list[Problem] = []
    for name, data in _texts(folder):
        match _read(name, data):
            case Entry() as entry if entry.id in entries:
                found.append(Problem(name, "/id", f"{entry.id} is the id of another file, too"))
            case Entry() as entry:
                entries[entry.id] = entry
            case problems:
                found += problems
    return Catalog(tuple(entries[key] for key in sorted(entries)), tuple(found))


def entry_of(value: dict[str, Any]) -> Entry:
    """A value that obeys the schema."""
    parts = {
        "sources": {k: Source(**v) for k, v in value["sources"].items()},
        "capabilities": Capabilities(**value["capabilities"]),
        "quality": Quality(**value["quality"]),
        "benchmarks": {k: Benchmark(**v) for k, v in value["benchmarks"].items()},
        "tags": tuple(value["tags"]),
    }
    return Entry(**{**value, **parts})


def _texts(folder: Path | None) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file."""
    if folder is not None and not folder.is_dir():
        raise InvalidValue(f"no folder {folder}", hint="name a folder of YAML files")
    root: Traversable = folder or resources.files("mlxk.advise") / "models"
    for file in sorted(root.iterdir(), key=lambda f: f.name):
        if file.name.endswith((".yaml", ".yml")):
            yield file.name, file.read_bytes()


def _read(name: str, data: bytes) -> Entry | Iterable[Problem]:
    import yaml

    try:
        value = yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError) as e:
        return [Problem(name, "", f"is not YAML: {' '.join(str(e).split())}")]
    if found := validate.problems(SCHEMA, value):
        return [Problem(name, problem.pointer, problem.message) for problem in found]
    return entry_of(value)
