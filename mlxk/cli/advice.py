"""`mlxk profile`, `recommend` and `init`: what this machine is, and what to run on it."""

import sys
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlxk.cli.registry import command

if TYPE_CHECKING:
    from mlxk.advise.fit import Excluded, Ranked, Tier, Unfit
    from mlxk.advise.profile import Profile
    from mlxk.deploy.founding import Founded

_INTENT = typer.Option(help="balanced or agent-fleet.")
_BUDGET = typer.Option(min=0.1, help="GB for models; default: a share of the memory.")
_DIR = typer.Option("--dir", help="A folder of YAML files instead of the shipped catalog.")


@dataclass(frozen=True, slots=True)
class Profiled:
    profile: "Profile"


@dataclass(frozen=True, slots=True)
class Recommended:
    profile_id: str
    intent: str
    budget_gb: float
    tiers: "tuple[Tier, ...]"
    unfit: "tuple[Unfit, ...]"
    total_memory_gb: float
    excluded: "tuple[Excluded, ...]"
    ranked: "tuple[Ranked, ...]"


def _profiled(value: Profiled, _: dict[str, Any]) -> str:
    p = value.profile
    cores = f", {p.gpu_cores} GPU cores" if p.gpu_cores else ""
    guess = " (estimate)" if p.is_estimate else ""
    return (
        f"{p.chip}{cores}: {p.memory_gb:g} GB, {p.bandwidth_gbps:g} GB/s{guess}, "
        f"backend {p.backend}, profile {p.profile_id}"
    )


def _recommended(value: Recommended, arguments: dict[str, Any]) -> str:
    from mlxk.cli.tables import columns

    def cells(r: "Ranked | Tier") -> tuple[object, ...]:
        tps = f"{'~' if r.is_estimated else ''}{r.gen_tps:.0f}"
        return (r.model, r.quant, f"{r.score:.3f}", tps, f"{r.memory_gb:.1f}")

    numbers = ("MODEL", "QUANT", "SCORE", "TOKENS/S", "GB")
    right = "SCORE TOKENS/S GB"
    text = columns(("TIER", *numbers), [(t.tier, *cells(t)) for t in value.tiers], right)
    total = f"{value.total_memory_gb:.1f} of {value.budget_gb:.1f} GB ({value.profile_id})"
    lines = [text, "", total]
    lines += [f"{u.tier} does not fit: {u.model} needs {u.memory_gb:.1f} GB" for u in value.unfit]
    if arguments.get("show_all"):
        lines += ["", columns(numbers, map(cells, value.ranked), right)]
        lines += ["", *(f"left out: {e.model} ({e.reason})" for e in value.excluded)]
    return "\n".join(lines)


def _founded(value: "Founded", _: dict[str, Any]) -> str:
    from mlxk.cli.tables import columns

    rows = [(d.tier or "-", d.name, d.model, d.port) for d in value.deployments]
    lines = [columns(("TIER", "DEPLOYMENT", "MODEL", "PORT"), rows, right="PORT")]
    lines += [f"not here yet: mlxk pull {model}" for model in value.missing_models]
    return "\n".join([*lines, "", f"{'Then' if value.missing_models else 'Next'}: mlxk up"])


@command("profile", _profiled)
def profile(
    refresh: Annotated[bool, typer.Option("--refresh", help="Look again.")] = False,
) -> Profiled:
    """Show what this machine is for models: memory, bandwidth, devices.

    mlxk profile --json | jq -r .data.profile.profile_id
    """
    from mlxk.advise.profile import detected
    from mlxk.system import paths

    return Profiled(detected(paths.home(), refresh=refresh))


@command("recommend", _recommended)
def recommend(
    budget: Annotated[float | None, _BUDGET] = None,
    intent: Annotated[str, _INTENT] = "balanced",
    show_all: Annotated[bool, typer.Option("--show-all", help="Every model's score.")] = False,
    folder: Annotated[Path | None, _DIR] = None,
) -> Recommended:
    """Say which models to run here, by speed, quality, tool calling and memory. Writes nothing.

    mlxk recommend

    mlxk recommend --budget 24 --intent agent-fleet --json | jq .data.tiers
    """
    from mlxk.advise import catalog, fit
    from mlxk.contract.errors import NothingFits
    from mlxk.contract.notes import note

    question = _question(budget, intent)
    known = catalog.load(folder)
    for problem in known.problems:
        note("invalid_entry", f"{problem.file}: {problem.message}", problem.pointer or None)
    found = fit.recommend(known, question)
    result = Recommended(
        question.profile.profile_id,
        intent,
        question.budget_gb,
        found.tiers,
        found.unfit,
        found.total_memory_gb,
        found.excluded,
        found.ranked,
    )
    if not found.tiers:
        message = f"no model of the catalog fits {question.budget_gb:.1f} GB"
        raise NothingFits(message, hint="mlxk recommend --budget GB", data=result)
    fit.warn(found)
    return result


@command("init", _founded)
def init(
    intent: Annotated[str, _INTENT] = "balanced",
    budget: Annotated[float | None, _BUDGET] = None,
    add: Annotated[list[str] | None, typer.Option(help="One more model.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="Not this tier or model.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    accept_defaults: Annotated[
        bool, typer.Option("--accept-defaults", help="Do not ask on a terminal.")
    ] = False,
    name: Annotated[str, typer.Option(help="The stack's name.")] = "default",
    folder: Annotated[Path | None, _DIR] = None,
) -> "Founded":
    """Write deployments and a stack for this machine, by what `recommend` says.

    mlxk init --accept-defaults

    mlxk init --add builtin:tiny --remove longctx --budget 24
    """
    from mlxk.advise import catalog, fit
    from mlxk.contract.errors import Interrupted
    from mlxk.deploy import founding
    from mlxk.deploy.store import Store
    from mlxk.system import paths

    question = _question(budget, intent)
    known = catalog.load(folder)
    found = fit.recommend(known, question)
    fit.warn(found)
    wanted = founding.Wanted(name, tuple(add or ()), tuple(remove or ()), force=force)
    store = Store(paths.home())
    draft = founding.draft(store, known, found, question, wanted)
    if not accept_defaults and sys.stdin.isatty() and sys.stderr.isatty():
        names = ", ".join(str(value["name"]) for value in draft.documents)
        if not typer.confirm(f"Write {names}?", err=True):
            raise Interrupted("nothing was written", exit_code=1)
    return founding.write(store, draft)


def _question(budget: float | None, intent: str) -> Any:
    from mlxk.advise.fit import Question
    from mlxk.advise.measured import measured
    from mlxk.advise.profile import detected
    from mlxk.advise.score import INTENTS
    from mlxk.contract.errors import InvalidValue
    from mlxk.deploy import settings
    from mlxk.system import paths

    if budget is not None and not isfinite(budget):
        hint = "mlxk recommend --budget 24"
        raise InvalidValue(f"{budget} is no amount of memory", hint=hint)
    if intent not in INTENTS:
        raise InvalidValue(f"no intent is called {intent!r}", hint=f"one of {', '.join(INTENTS)}")
    home = paths.home()
    known = settings.load(home)
    profile = detected(home, save=False)
    share = profile.memory_gb * known.count("memory-budget-pct") / 100
    saved = measured(home, profile.profile_id)
    amount = round(share if budget is None else budget, 2)
    return Question(profile, amount, intent, str(known.get("default-quant")), saved)
