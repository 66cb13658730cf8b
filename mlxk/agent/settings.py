"""What a session is run with; kept in its meta.json so that `--resume` finds it again."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from mlxk.agent.permissions import Permissions, permissions
from mlxk.agent.tools import BUILTIN
from mlxk.agent.tools.base import AgentTool
from mlxk.chat.types import Sampling
from mlxk.contract import encoding
from mlxk.contract.errors import HistoryCorrupt, InvalidValue

FORMAT = 1
NAMES = (*BUILTIN, "Agent")


@dataclass(frozen=True, slots=True)
class Settings:
    """`system` None is our own prompt; `url` goes with an `api` that is not local."""

    model: str
    api: str = "local"
    url: str | None = None
    system: str | None = None
    tools: tuple[str, ...] = tuple(BUILTIN)
    temperature: float | None = None
    seed: int | None = None
    network: bool = False
    permissions: Permissions = field(default_factory=Permissions)

    @property
    def sampling(self) -> Sampling:
        return Sampling(temperature=self.temperature, seed=self.seed)

    def toolbox(self) -> tuple[AgentTool, ...]:
        """The built-in tools among `tools`; `Agent` is made for each run."""
        return tuple(BUILTIN[name] for name in self.tools if name in BUILTIN)

    def overridden(self, given: dict[str, Any]) -> "Settings":
        """With every flag that was given explicitly, that is: not None."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})


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
        tools=tool_names(",".join(settings.tools)),
        permissions=permissions(value.get("permissions") or {}),
    )


def tool_names(text: str) -> tuple[str, ...]:
    """`Read,Write` in the order models see them; InvalidValue for a name there is not."""
    typed = {name.strip().casefold(): name.strip() for name in text.split(",") if name.strip()}
    wanted = typed.keys()
    if unknown := wanted - {name.casefold() for name in NAMES}:
        known = ", ".join(NAMES)
        raise InvalidValue(f"no tool is called {typed[min(unknown)]!r}", hint=f"tools: {known}")
    return tuple(name for name in NAMES if name.casefold() in wanted)
