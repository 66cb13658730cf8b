"""What would make the world equal the documents. Pure: reads nothing, starts nothing."""

from dataclasses import dataclass
from typing import Literal

from mlxk.deploy.document import GATEWAY, Deployment

Action = Literal["keep", "start", "restart", "stop", "skip"]


@dataclass(frozen=True, slots=True)
class Target:
    """A deployment that was asked for; `problem` instead of one that cannot be read."""

    name: str
    deployment: Deployment | None
    problem: str | None = None
    memory_gb: float | None = None
    has_model: bool = True


@dataclass(frozen=True, slots=True)
class Observed:
    """A process as it was found; `digest` is of the document it was started from."""

    is_alive: bool = False
    digest: str | None = None
    is_desired: bool = False
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    action: Action
    reason: str


@dataclass(frozen=True, slots=True)
class Wish:
    """`named`: the user typed these names. `again`: restart what runs, too."""

    named: bool = False
    again: bool = False
    clear: bool = False
    budget_gb: float | None = None


def up(
    targets: tuple[Target, ...], world: dict[str, Observed], wish: Wish | None = None
) -> tuple[Step, ...]:
    """Largest first, the gateway last. What runs counts against the budget before what is new."""
    wish = wish or Wish()
    steps = [_wanted(t, world.get(t.name, Observed()), wish) for t in targets]
    sizes = {t.name: t.memory_gb or 0.0 for t in targets}
    steps.sort(key=lambda step: (step.name == GATEWAY, -sizes[step.name], step.name))
    return tuple(_within(steps, sizes, wish.budget_gb))


def down(names: tuple[str, ...], world: dict[str, Observed]) -> tuple[Step, ...]:
    """The gateway first, or it would start again what it is asked for."""
    ordered = sorted(names, key=lambda name: name != GATEWAY)
    return tuple(_unwanted(name, world.get(name, Observed())) for name in ordered)


def _wanted(target: Target, seen: Observed, wish: Wish) -> Step:
    if target.deployment is None:
        return Step(target.name, "skip", "invalid_document")
    if not wish.named and target.deployment.autostart != "always" and not seen.is_alive:
        return Step(target.name, "skip", target.deployment.autostart.replace("-", "_"))
    if seen.is_alive:
        if seen.digest != target.deployment.digest:
            return Step(target.name, "restart", "document_changed")
        action: Action = "restart" if wish.again else "keep"
        return Step(target.name, action, "user" if wish.again else "same")
    if seen.is_held and not wish.clear:
        return Step(target.name, "skip", "held")
    if not target.has_model:
        return Step(target.name, "skip", "model_missing")
    return Step(target.name, "start", "crashed" if seen.is_desired else "stopped")


def _within(steps: list[Step], sizes: dict[str, float], budget_gb: float | None) -> list[Step]:
    if budget_gb is None:
        return steps
    used = sum(sizes[s.name] for s in steps if s.action in ("keep", "restart"))
    kept = []
    for step in steps:
        if step.action == "start":
            if used + sizes[step.name] > budget_gb:
                kept.append(Step(step.name, "skip", "over_budget"))
                continue
            used += sizes[step.name]
        kept.append(step)
    return kept


def _unwanted(name: str, seen: Observed) -> Step:
    if seen.is_alive:
        return Step(name, "stop", "user")
    if seen.is_desired:
        return Step(name, "stop", "crashed")
    return Step(name, "keep", "stopped")
