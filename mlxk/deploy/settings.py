"""The user's settings in `config.json`: keys with types and defaults. Knows no deployment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlxk.contract import encoding
from mlxk.contract.errors import CorruptState, InvalidDocument, InvalidValue
from mlxk.contract.notes import note
from mlxk.deploy.document import NAME
from mlxk.system import files

Value = str | int | bool | None
Kind = Literal["text", "name", "secret", "count", "flag", "choice"]

STACK = "stack"


@dataclass(frozen=True, slots=True)
class Key:
    name: str
    kind: Kind
    default: Value
    text: str
    low: int = 0
    high: int = 1 << 31
    choices: tuple[str, ...] = ()


KEYS: tuple[Key, ...] = (
    Key("openrouter-key", "secret", None, "variable that holds the key of a stack's cloud"),
    Key("default-quant", "choice", "int4", "quantisation", choices=("int4", "int8", "bf16")),
    Key("memory-budget-pct", "count", 40, "share of the memory for models", 1, 100),
    Key("gateway-port", "count", 4000, "port of a gateway whose stack names none", 1, 65535),
    Key("model-dir", "text", None, "folder where deployments look for models before the cache"),
    Key("auto-health-check", "flag", True, "up waits until what it starts is ready"),
    Key("log-max-size-mb", "count", 50, "size at which a log is archived", 1, 10_000),
    Key("log-max-files", "count", 5, "archives kept of each log", 0, 1000),
    Key(STACK, "name", None, "the active stack: what up, down and status mean without a name"),
)
ALIASES = {"litellm-port": "gateway-port"}


@dataclass(frozen=True, slots=True)
class Setting:
    key: str
    value: Value
    default: Value
    is_default: bool
    description: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file says over the defaults."""

    values: Mapping[str, Any]

    def get(self, name: str) -> Value:
        key = key_of(name)
        value: Value = self.values.get(key.name, key.default)
        return value

    def count(self, name: str) -> int:
        value = self.get(name)
        return value if isinstance(value, int) else 0

    def rows(self) -> tuple[Setting, ...]:
        return tuple(self.row(key.name) for key in KEYS)

    def row(self, name: str) -> Setting:
        key = key_of(name)
        is_default = key.name not in self.values
        return Setting(key.name, self.get(key.name), key.default, is_default, key.text)

    @property
    def stack(self) -> str | None:
        value = self.values.get(STACK)
        return value if isinstance(value, str) else None


def load(home: Path) -> Settings:
    """CorruptState names the key whose value, edited by hand, is none for it."""
    path, found = _path(home), read(home).values
    values = {name: value for name, value in found.items() if value is not None}
    for name in sorted(values.keys() - {key.name for key in KEYS}):
        note("unknown_setting", f"{name!r} in {path} is no setting (mlxk config list)")
    for key in (key for key in KEYS if key.name in values):
        try:
            written(key, values[key.name])
        except InvalidValue as e:
            hint = f"edit it, or mlxk config reset {key.name}"
            raise CorruptState(f"{path}: {e}", hint=hint, key=key.name, path=str(path)) from e
    return Settings(values)


def read(home: Path) -> Settings:
    """As it is written: values that their keys do not take included."""
    path = _path(home)
    try:
        value = encoding.loads(path.read_bytes(), str(path))
    except FileNotFoundError:
        return Settings({})
    except InvalidDocument as e:
        raise CorruptState(str(e), hint="mlxk config reset", path=str(path)) from e
    if not isinstance(value, dict):
        raise CorruptState(f"{path} is not a JSON object", hint="mlxk config reset")
    return Settings({ALIASES.get(name) or name: given for name, given in value.items()})


def save(home: Path, settings: Settings) -> None:
    """Secrets may be in it: nobody else reads it."""
    data = encoding.dumps(dict(settings.values), newline=True, indent=True)
    files.write_atomic(_path(home), data, mode=0o600)


def changed(settings: Settings, name: str, text: str) -> Settings:
    key = key_of(name)
    return Settings({**settings.values, key.name: parsed(key, text)})


def with_stack(settings: Settings, name: str | None) -> Settings:
    rest = {k: v for k, v in settings.values.items() if k != STACK}
    return Settings({**rest, STACK: name} if name else rest)


def without(settings: Settings, name: str | None) -> Settings:
    """Back to the default: one key, or all; only by its name does the active stack go."""
    gone = {key_of(name).name} if name else {key.name for key in KEYS} - {STACK}
    return Settings({k: v for k, v in settings.values.items() if k not in gone})


def key_of(name: str) -> Key:
    wanted = ALIASES.get(name, name)
    for key in KEYS:
        if key.name == wanted:
            return key
    known = ", ".join(key.name for key in KEYS)
    raise InvalidValue(f"no setting is called {name!r}", hint=f"one of {known}", key=name)


def written(key: Key, value: object) -> Value:
    """A value as the file has it: of the right type, and what `parsed` would take."""
    kind = {"count": int, "flag": bool}.get(key.kind, str)
    if type(value) is not kind:
        wanted = {int: "a number", bool: "true or false", str: "a text"}[kind]
        raise InvalidValue(f"{key.name} is {wanted}", key=key.name)
    return parsed(key, str(value))


def parsed(key: Key, text: str) -> Value:
    match key.kind:
        case "count":
            return _count(key, text)
        case "flag":
            return _flag(key, text)
        case "choice" if text not in key.choices:
            raise InvalidValue(f"{key.name} is one of {', '.join(key.choices)}", value=text)
        case "secret" if not text.replace("_", "").isalnum() or text[:1].isdigit():
            hint = f"mlxk config set {key.name} OPENROUTER_API_KEY"
            raise InvalidValue(f"{key.name} names an environment variable", hint=hint)
        case "name" if not NAME.fullmatch(text):
            raise InvalidValue(f"{key.name} is the name of a stack", value=text)
        case "text" if not _is_path(text):
            raise InvalidValue(f"{key.name} is a folder", value=text)
        case _:
            return text


def _is_path(text: str) -> bool:
    """The operating system could have a file of that name."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _count(key: Key, text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if not key.low <= value <= key.high:
        raise InvalidValue(f"{key.name} is a number from {key.low} to {key.high}", value=text)
    return value


def _flag(key: Key, text: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True}
    words |= {"false": False, "no": False, "off": False, "0": False}
    if text.lower() not in words:
        raise InvalidValue(f"{key.name} is true or false", value=text)
    return words[text.lower()]


def _path(home: Path) -> Path:
    return home / "config.json"
