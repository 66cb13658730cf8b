"""A stack as a frozen value: which deployments run together, under which names. Knows no file."""

from dataclasses import dataclass
from typing import Any

from mlxk.contract import validate

SCHEMA = "documents/stack"


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

    def tier(self, deployment: str) -> str | None:
        return next((route for route, name in self.routes if name == deployment), None)

    def route(self, tier: str) -> str | None:
        return dict(self.routes).get(tier)


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
    )
