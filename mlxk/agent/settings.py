"""What a session is run with; kept in its meta.json so that `--resume` finds it again."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from mlxk.agent.permissions import Added, Permissions, permissions
from mlxk.agent.tools import BUILTIN
from mlxk.agent.tools.base import AgentTool
from mlxk.chat.types import Sampling
from mlxk.contract import encoding
from mlxk.contract.errors import HistoryCorrupt, InvalidValue

FORMAT = 1
_DIVERSE = 0.7
NAMES = (*BUILTIN, "Lsp", "Agent")


@dataclass(frozen=True, slots=True)
class McpServer:
    """A `command` or a `url`. Variables are named, never their values: `env` are passed on to the
    command, `key_env` holds the key of the URL. `tools` None offers all that the server has."""

    name: str
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    url: str | None = None
    key_env: str | None = None
    tools: tuple[str, ...] | None = None
    timeout_s: float | None = None

    def variables(self, env: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Those that it may know, with their values. InvalidValue for one that is not set."""
        names = (*self.env, *filter(None, [self.key_env]))
        if missing := [name for name in names if not env.get(name)]:
            hint = f"export {missing[0]}=…"
            raise InvalidValue(f"the MCP server {self.name!r} needs {missing[0]}", hint=hint)
        return {name: env[name] for name in names}


@dataclass(frozen=True, slots=True)
class Helper:
    """A sub-agent with a name: how it is described to its parent, and what it is and may."""

    name: str
    description: str = ""
    system: str | None = None
    tools: tuple[str, ...] | None = None
    turns: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """`system` None is our own prompt; `url` goes with an `api` that is not local. `lsp` maps file
    suffixes to commands. `config` is the digest of the file that some of it came from."""

    model: str
    api: str = "local"
    url: str | None = None
    system: str | None = None
    tools: tuple[str, ...] = tuple(BUILTIN)
    temperature: float | None = None
    seed: int | None = None
    network: bool = False
    permissions: Permissions = field(default_factory=Permissions)
    skills: tuple[str, ...] = ()
    helpers: tuple[Helper, ...] = ()
    mcp: tuple[McpServer, ...] = ()
    lsp: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    config: str | None = None
    carry: tuple[str, ...] = ()  # ignored files that the worktree is to have, too

    @property
    def sampling(self) -> Sampling:
        return Sampling(temperature=self.temperature, seed=self.seed)

    def toolbox(self) -> tuple[AgentTool, ...]:
        """The built-in tools among `tools`; `Lsp` and `Agent` are made for each run."""
        return tuple(BUILTIN[name] for name in self.tools if name in BUILTIN)

    def varied(self, number: int) -> "Settings":
        """For one of several futures: each has a seed of its own, or all would be the same."""
        warm = _DIVERSE if self.temperature is None else self.temperature
        return replace(self, temperature=warm, seed=(self.seed or 0) + number)

    def overridden(self, given: Mapping[str, Any]) -> "Settings":
        """With every flag that was given explicitly, that is: not None."""
        named = {name: value for name, value in given.items() if value is not None}
        if isinstance(added := named.get("permissions"), Added):
            named["permissions"] = added.to(self.permissions)
        return replace(self, **named)


def to_meta(settings: Settings) -> bytes:
    values = {entry.name: getattr(settings, entry.name) for entry in fields(settings)}
    return encoding.dumps({"format": FORMAT, **values}, newline=True)


def from_meta(meta: bytes) -> Settings:
    value = encoding.loads(meta, "meta.json")
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise HistoryCorrupt("the session was written by another version of mlxk")
    known = {entry.name for entry in fields(Settings)}
    settings = Settings(**{name: item for name, item in value.items() if name in known})
    return replace(
        settings,
        tools=tool_names(settings.tools),
        permissions=permissions(value.get("permissions") or {}),
        skills=tuple(settings.skills),
        carry=tuple(settings.carry),
        helpers=tuple(Helper(**_with_tuples(item)) for item in value.get("helpers", ())),
        mcp=tuple(McpServer(**_with_tuples(item)) for item in value.get("mcp", ())),
        lsp=_with_tuples(value.get("lsp", {})),
    )


def tool_names(wanted: str | Iterable[str]) -> tuple[str, ...]:
    """`Read,Write` in the order models see them; InvalidValue for a name there is not."""
    words = wanted.split(",") if isinstance(wanted, str) else wanted
    typed = {name.strip().casefold(): name.strip() for name in words if name.strip()}
    if unknown := typed.keys() - {name.casefold() for name in NAMES}:
        known = ", ".join(NAMES)
        raise InvalidValue(f"no tool is called {typed[min(unknown)]!r}", hint=f"tools: {known}")
    return tuple(name for name in NAMES if name.casefold() in typed)


def _with_tuples(value: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in value.items()}
