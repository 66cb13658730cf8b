"""Whether a document is right and its model fits: what `deploy validate` says. Changes nothing."""

from dataclasses import dataclass

from mlxk.contract.notes import note
from mlxk.contract.validate import Problem
from mlxk.deploy import document, engines, weigh
from mlxk.deploy.document import Deployment
from mlxk.deploy.store import Store


@dataclass(frozen=True, slots=True)
class Weight:
    """`fits` is null without a budget; the figures are null when the model is not here."""

    weights_gb: float
    kv_gb: float
    total_gb: float
    fits: bool | None


@dataclass(frozen=True, slots=True)
class Verdict:
    name: str
    valid: bool
    problems: tuple[Problem, ...]
    estimate: Weight | None


def judge(store: Store, value: object, name: str | None, budget_gb: float | None) -> Verdict:
    """Every problem at once; what is only risky becomes a warning."""
    shown = name or str(value.get("name", "")) if isinstance(value, dict) else name or ""
    if found := document.problems(value, name=name):
        return Verdict(shown, valid=False, problems=found, estimate=None)
    deployment = document.parse(value, name=name)
    warn(deployment)
    model = weigh.find(deployment, store.home) if deployment.engine.name != "command" else None
    more = weigh.problems(deployment, model) if model else ()
    weight = weigh.weigh(deployment, model)
    estimate = None
    if weight:
        fits = None if budget_gb is None else weight.total_gb <= budget_gb
        estimate = Weight(weight.weights_gb, weight.kv_gb, weight.total_gb, fits)
    elif deployment.engine.name != "command":
        wanted = weigh.reference(deployment, store.home)
        pointer = "/model_path" if deployment.is_path else "/model"
        note("model_missing", f"{wanted} is not on this machine", pointer)
    return Verdict(deployment.name, not more, more, estimate)


def warn(deployment: Deployment) -> None:
    for warning in engines.warnings(deployment):
        note(warning.code, warning.message, warning.pointer)
