"""Find the published JSON schemas and examples, and bundle one with all it refers to."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson

_PACKAGED = Path(__file__).parent.parent / "schemas"
_CHECKOUT = Path(__file__).parent.parent.parent / "schemas"
_SUFFIX = ".schema.json"


def directory() -> Path:
    """The folder of schemas: inside the wheel, else beside the package in a checkout."""
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


@cache
def names() -> tuple[str, ...]:
    """All schema names, `documents/x` and `wire/x` for those in folders."""
    root = directory()
    found = (path.relative_to(root).as_posix() for path in root.rglob(f"*{_SUFFIX}"))
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found))


@cache
def load(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = orjson.loads((directory() / f"{name}{_SUFFIX}").read_bytes())
    return schema


def example(name: str) -> list[Any]:
    """The golden output of a command: its events, if any, then its envelope."""
    path = directory() / "examples" / f"{name}.jsonl"
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.is_file() else []


def closure(name: str) -> tuple[str, ...]:
    """The schemas that `name` refers to, directly or through others, without itself."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        for ref in _references(load(waiting.pop())):
            if ref != name and ref not in found:
                found.append(ref)
                waiting.append(ref)
    return tuple(sorted(found))


def bundle(name: str) -> dict[str, Any]:
    """One self-contained document (JSON Schema 2020-12 bundling): referenced schemas in `$defs`."""
    embedded = {
        part: {k: v for k, v in load(part).items() if k != "$schema"} for part in closure(name)
    }
    root = load(name)
    return {**root, "$defs": {**root.get("$defs", {}), **embedded}} if embedded else root


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        ref = node.get("$ref")
        if isinstance(ref, str) and ref.startswith("urn:"):
            yield ref.partition("#")[0].removeprefix("urn:mlxk:")
        for child in node.values():
            yield from _references(child)
    elif isinstance(node, list):
        for child in node:
            yield from _references(child)
