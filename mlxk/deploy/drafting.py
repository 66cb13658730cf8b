"""Documents before they are written: made, changed, imported. Writes nothing."""

import re
from pathlib import Path
from typing import Any

from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument, InvalidValue

PORTS = {"standard": 8000, "fast": 8001, "longctx": 8002}
_FIRST_FREE = 8003


def draft(name: str, model: str, changes: dict[str, Any]) -> dict[str, Any]:
    """A document that says only what differs from the defaults."""
    is_path = model.startswith(("/", "./", "../", "~"))
    value: dict[str, Any] = {"schema_version": 1, "name": name}
    value["model_path" if is_path else "model"] = model
    for key, given in changes.items():
        if given is not None:
            put(value, key, given)
    return value


def put(value: dict[str, Any], key: str, given: object) -> None:
    """`server.port`: dots lead into objects; None takes the key away."""
    *folders, last = key.split(".")
    for folder in folders:
        inner = value.setdefault(folder, {})
        if not isinstance(inner, dict):
            raise InvalidValue(f"{folder} in {key!r} is not an object", key=key)
        value = inner
    if given is None:
        value.pop(last, None)
    else:
        value[last] = given


def assignment(text: str) -> tuple[str, Any]:
    """`server.port=8001`: JSON where it is JSON, else text; nothing after `=` takes away."""
    key, sign, raw = text.partition("=")
    if not sign or not re.fullmatch(r"\w+(\.\w+)*", key):
        raise InvalidValue(f"{text!r} is no assignment", hint="for example server.port=8001")
    if not raw:
        return key, None
    try:
        return key, encoding.loads(raw)
    except InvalidDocument:
        return key, raw


def imported(path: Path, name: str | None) -> dict[str, Any]:
    """A document from a JSON or YAML file; a relative model path is taken from there."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as e:
        raise InvalidValue(f"no file {path}", hint="name a JSON or YAML file") from e
    value = (
        _yaml(data, path) if path.suffix in (".yaml", ".yml") else encoding.loads(data, str(path))
    )
    if not isinstance(value, dict):
        problems = [_whole("is not an object")]
        raise InvalidDocument(f"{path} holds no object", hint=f"edit {path}", problems=problems)
    if name is not None:
        value["name"] = name
    folder = value.get("model_path")
    if isinstance(folder, str) and not folder.startswith(("/", "~")):
        value["model_path"] = str((path.parent / folder).resolve())
    return value


def name_of(model: str) -> str:
    """A deployment's name from a model's: `mlx-community/Qwen3-4B-4bit` is `qwen3-4b-4bit`."""
    tail = model.partition("@")[0].rstrip("/").rpartition("/")[2].replace("builtin:", "")
    name = re.sub(r"[^a-z0-9._-]+", "-", tail.lower()).strip("-._")[:64]
    return name or "model"


def next_port(taken: set[int]) -> int:
    return next(port for port in range(_FIRST_FREE, 65536) if port not in taken)


def _yaml(data: bytes, path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(data)
    except (yaml.YAMLError, ValueError) as e:
        message = f"is not YAML: {' '.join(str(e).split())}"
        raise InvalidDocument(f"{path} {message}", problems=[_whole(message)]) from e


def _whole(message: str) -> dict[str, str]:
    return {"pointer": "", "message": message}
