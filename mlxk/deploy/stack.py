"""A stack as a frozen value: which deployments run together, under which names. Knows no file."""

from dataclasses import dataclass
from typing import Any

from mlxk.contract import validate

SCHEMA = "documents/stack"


@dataclass(frozen=True, slots=True)
class Gateway:
    """One address for all. `port` None: the setting's; 0: any free one."""

    host: str = "127.0.0.1"
    port: int | None = None
    api_key_env: str | None = None
    metrics: bool = True
    max_queue: int = 512
    queue_timeout_s: float = 300.0
    max_per_model: int | None = None


@dataclass(frozen=True, slots=True)
class Cloud:
    """Who answers when nobody here can. Nothing is sent unless `enabled`, nor without a key."""

    enabled: bool = False
    provider: str = "openrouter"
    models: tuple[str, ...] = ()
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """`routes`: a tier's name and the deployment that answers for it."""

    name: str
    deployments: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]
    fallbacks: tuple[str, ...]
    budget_gb: float | None
    intent: str | None
    profile_id: str | None
    gateway: Gateway | None = None
    cloud: Cloud = Cloud()

    def tier(self, deployment: str) -> str | None:
        return next((route for route, name in self.routes if name == deployment), None)

    def route(self, tier: str) -> str | None:
        return dict(self.routes).get(tier)

    def after(self, asked: str) -> tuple[str, ...]:
        """The deployments that answer in turn for a route or a deployment."""
        chain = self.fallbacks
        later = chain[chain.index(asked) + 1 :] if asked in chain else ()
        found = (self.route(name) or name for name in (asked, *later))
        return tuple(name for name in dict.fromkeys(found) if name in self.deployments)


def parse(value: Any, what: str) -> Stack:
    validate.require(SCHEMA, value, what)
    return Stack(
        name=value["name"],
        deployments=tuple(value["deployments"]),
        routes=tuple(value.get("routes", {}).items()),
        fallbacks=tuple(value.get("fallbacks", ())),
        budget_gb=value.get("budget_gb"),
        intent=value.get("intent"),
        profile_id=value.get("profile_id"),
        gateway=_gateway(value["gateway"]) if "gateway" in value else None,
        cloud=_cloud(value.get("cloud", {})),
    )


def _gateway(value: dict[str, Any]) -> Gateway:
    port = value.get("port")
    return Gateway(**{**value, "port": 0 if port == "auto" else port})


def _cloud(value: dict[str, Any]) -> Cloud:
    return Cloud(**{**value, "models": tuple(value.get("models", ()))})
