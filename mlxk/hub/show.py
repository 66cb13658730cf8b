"""The files of a model as `show --files` lists them."""

import re
from dataclasses import dataclass
from typing import Literal

from mlxk.hub.contents import Contents, File

FileType = Literal["weights", "index", "config", "tokenizer", "template", "code", "card", "other"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TYPES: tuple[tuple[FileType, re.Pattern[str]], ...] = (
    ("weights", re.compile(r".*\.(safetensors|gguf|npz|bin|pt|pth)")),
    ("index", re.compile(r".*\.index\.json")),
    ("template", re.compile(r"(.*/)?chat_template\.(jinja|json)")),
    ("tokenizer", re.compile(r"(.*/)?(token|vocab|merges|special_tokens|added_tokens|spiece).*")),
    ("config", re.compile(r".*\.(json|yaml|yml)")),
    ("code", re.compile(r".*\.py")),
    ("card", re.compile(r"(.*/)?(README|LICENSE|NOTICE|MODEL_CARD).*", re.IGNORECASE)),
)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """`sha256` is known for files that the cache names by it: the large ones."""

    name: str
    size_bytes: int
    type: FileType
    sha256: str | None


def entries(contents: Contents) -> tuple[FileEntry, ...]:
    return tuple(_entry(file) for file in contents.files)


def _entry(file: File) -> FileEntry:
    is_hash = file.blob is not None and _SHA256.fullmatch(file.blob) is not None
    return FileEntry(file.name, file.size, _type(file.name), file.blob if is_hash else None)


def _type(name: str) -> FileType:
    for kind, pattern in _TYPES:
        if pattern.fullmatch(name):
            return kind
    return "other"
