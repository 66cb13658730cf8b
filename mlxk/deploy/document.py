"""A deployment as a frozen value: what one JSON document declares. Knows no process."""

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import orjson

from mlxk.contract import encoding, validate
from mlxk.contract.errors import InvalidDocument
from mlxk.contract.validate import Problem
from mlxk.system import clock

SCHEMA = "documents/deployment"
GATEWAY = "gateway"
RESERVED = frozenset((GATEWAY, "watch", "all"))
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Autostart = Literal["always", "on-demand", "manual"]


@dataclass(frozen=True, slots=True)
class Engine:
    """A known engine by its name, or a command line of somebody else's.

    `keys` names variables that it gets beside the usual ones.
    """

    name: str
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KvCache:
    bits: int | None = None
    group_size: int = 64
    quantized_start: int = 0


def _nothing() -> MappingProxyType[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Server:
    """`port` None: any free one. `draft`: a way to guess ahead, or a model that does. `extra` are
    keys we do not know."""

    host: str = "127.0.0.1"
    port: int | None = None
    model_id: str | None = None
    trust_remote_code: bool = False
    prompt_cache_size: int | None = None
    prompt_cache_bytes: int | None = None
    chat_template_args: MappingProxyType[str, Any] = field(default_factory=_nothing)
    decode_concurrency: int | None = None
    draft: str | None = None
    log_level: str | None = None
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Restart:
    policy: Literal["on-failure", "never"] = "on-failure"
    max: int = 5
    window_s: float = 600
    base_s: float = 10
    cap_s: float = 300
    stable_s: float = 300


@dataclass(frozen=True, slots=True)
class Probe:
    """`ready`: `completion`, or a path that answers 200; None leaves it to the engine."""

    live: str = "/health"
    ready: str | None = None
    timeout_s: float = 120
    liveness_failures: int = 3


@dataclass(frozen=True, slots=True)
class Deployment:
    name: str
    display_name: str
    model: str
    is_path: bool
    quant: str | None
    engine: Engine
    parameters: MappingProxyType[str, float]
    kv_cache: KvCache | None
    server: Server
    context: int | None
    keep_alive_s: float | None
    autostart: Autostart
    memory_gb: float | None
    restart: Restart
    probe: Probe
    api_key_env: str | None
    digest: str


def problems(value: object, *, name: str | None = None) -> tuple[Problem, ...]:
    """All that is wrong with a document; `name` is its file's."""
    if found := validate.problems(SCHEMA, value):
        return found
    assert isinstance(value, dict)
    return tuple(_meaning(value, name))


def parse(value: object, *, name: str | None = None) -> Deployment:
    """InvalidDocument names the pointers."""
    if found := problems(value, name=name):
        first = found[0]
        raise InvalidDocument(
            f"deployment {name or ''}: {first.message} at {first.pointer or '/'}".replace(
                " :", ":"
            ),
            problems=[{"pointer": p.pointer, "message": p.message} for p in found],
        )
    assert isinstance(value, dict)
    return unchecked(value)


def unchecked(value: dict[str, Any]) -> Deployment:
    """What we made ourselves is right."""
    is_path = "model_path" in value
    kv_cache = value.get("kv_cache")
    return Deployment(
        name=value["name"],
        display_name=value.get("display_name", value["name"]),
        model=value["model_path"] if is_path else value["model"],
        is_path=is_path,
        quant=value.get("quant"),
        engine=_engine(value.get("engine", "mlxk")),
        parameters=MappingProxyType(value.get("parameters", {})),
        kv_cache=KvCache(**kv_cache) if kv_cache else None,
        server=_server(value.get("server", {})),
        context=value.get("context"),
        keep_alive_s=seconds(value.get("keep_alive", -1)),
        autostart=value.get("autostart", "always"),
        memory_gb=value.get("memory_gb"),
        restart=Restart(**value.get("restart", {})),
        probe=Probe(**value.get("probe", {})),
        api_key_env=value.get("auth", {}).get("api_key_env"),
        digest=digest(value),
    )


def digest(value: dict[str, Any]) -> str:
    """Changes with every change that a process would have to be restarted for."""
    seen = {k: v for k, v in value.items() if k not in _UNSEEN}
    data = orjson.dumps(seen, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(data).hexdigest()[:16]


def seconds(text: str | float) -> float | None:
    """How long an idle model stays; None: for ever."""
    kept = clock.seconds(text)
    return None if kept == math.inf else kept


_UNSEEN = ("display_name", "autostart", "restart", "schema_version", "memory_gb")


def _meaning(value: dict[str, Any], name: str | None) -> list[Problem]:
    """What a schema cannot say."""
    found = list(_unreadable(value, ""))
    if value["name"] in RESERVED:
        found.append(Problem("/name", f"{value['name']!r} is reserved"))
    if name is not None and value["name"] != name:
        found.append(Problem("/name", f"{value['name']!r} is not the file's name {name!r}"))
    bits = value.get("kv_cache", {}).get("bits")
    if value.get("engine") == "vllm-mlx" and bits not in (None, 4, 8):
        found.append(Problem("/kv_cache/bits", "vllm-mlx takes 4 or 8 bits"))
    restart = Restart(**value.get("restart", {}))
    if restart.base_s > restart.cap_s:
        found.append(Problem("/restart/base_s", "is longer than cap_s"))
    return found


def _unreadable(value: object, pointer: str) -> Iterator[Problem]:
    """What JSON readers do not agree about (RFC 8259, sections 6 and 8.2)."""
    match value:
        case int() | float() if abs(value) > 1 << 53:
            yield Problem(pointer, "is too large a number")
        case str() if encoding.valid(value) != value:
            yield Problem(pointer, "is not Unicode text")
        case dict():
            for key, inner in value.items():
                yield from _unreadable(inner, f"{pointer}/{key}")
        case list():
            for number, inner in enumerate(value):
                yield from _unreadable(inner, f"{pointer}/{number}")


def _engine(value: str | dict[str, Any]) -> Engine:
    if isinstance(value, str):
        return Engine(value)
    env = tuple(sorted(value.get("env", {}).items()))
    return Engine("command", tuple(value["command"]), env)


def _server(value: dict[str, Any]) -> Server:
    known = {k: v for k, v in value.items() if k in Server.__dataclass_fields__ and k != "extra"}
    extra = tuple(sorted(set(value) - set(known)))
    if known.get("port") == "auto":
        known["port"] = None
    arguments = MappingProxyType(known.pop("chat_template_args", {}))
    return Server(**known, chat_template_args=arguments, extra=extra)
