"""One model folder, read once: its files, its JSON documents, its safetensors headers."""

from dataclasses import dataclass
from pathlib import Path

from mlxk.hub import gguf, safetensors, text
from mlxk.hub.contents import Contents, scan
from mlxk.hub.gguf import Front
from mlxk.hub.safetensors import Header

Document = dict[str, object]

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
TORCH_INDEX = "pytorch_model.bin.index.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
GENERATION = "generation_config.json"
_SIDE = ("special_tokens_map.json", "added_tokens.json", "hf_quant_config.json")
_DOCUMENTS = frozenset((CONFIG, INDEX, TORCH_INDEX, TOKENIZER_CONFIG, GENERATION, *_SIDE))


@dataclass(frozen=True, slots=True)
class Reading:
    """A document that is a `str` is the problem with it. `thorough`: large files are read whole."""

    contents: Contents
    documents: dict[str, Document | str]
    headers: dict[str, Header]
    fronts: dict[str, Front]
    thorough: bool

    def document(self, name: str) -> Document:
        """Empty when the file is missing or broken."""
        value = self.documents.get(name)
        return value if isinstance(value, dict) else {}

    @property
    def config(self) -> Document:
        return self.document(CONFIG)

    @property
    def front(self) -> Front:
        """That of the first GGUF file that can be read; without fields when there is none."""
        whole = (f for _, f in sorted(self.fronts.items()) if f.problem is None and f.fields)
        return next(whole, Front({}))

    def named(self, *endings: str) -> tuple[str, ...]:
        """The names of the files beside config.json with one of these endings."""
        return tuple(
            f.name for f in self.contents.files if f.name.endswith(endings) and "/" not in f.name
        )

    def has(self, name: str) -> bool:
        return self.contents.find(name) is not None


def read(folder: Path, contents: Contents | None = None, *, thorough: bool = True) -> Reading:
    """`contents` when the folder was looked at already."""
    contents = contents or scan(folder)
    documents: dict[str, Document | str] = {}
    headers: dict[str, Header] = {}
    fronts: dict[str, Front] = {}
    for file in contents.files:
        if file.name in _DOCUMENTS:
            documents[file.name] = file.problem or text.objects(contents.path(file.name))
        elif file.name.endswith(".gguf") and "/" not in file.name:
            path = contents.path(file.name)
            fronts[file.name] = (
                Front({}, file.problem) if file.problem else gguf.read(path, thorough=thorough)
            )
        elif file.name.endswith(".safetensors") and "/" not in file.name:
            headers[file.name] = (
                Header({}, None, file.problem)
                if file.problem
                else safetensors.read(contents.path(file.name))
            )
    return Reading(contents, documents, headers, fronts, thorough)
