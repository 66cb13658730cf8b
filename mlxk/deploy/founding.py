"""A first stack from a recommendation: documents for its tiers, ports, routes. Starts nothing."""

from dataclasses import dataclass
from typing import Any

from mlxk.advise.catalog import Catalog, Entry
from mlxk.advise.fit import Question, Recommendation, quant_of
from mlxk.advise.memory import SPARE, weights_gb
from mlxk.contract.errors import AlreadyExists, GatedRepo, NotFound, NothingFits, OverBudget
from mlxk.deploy import document, drafting, settings, weigh
from mlxk.deploy.store import Store
from mlxk.system import files
from mlxk.system.clock import Clock, now, stamp


@dataclass(frozen=True, slots=True)
class Wanted:
    stack: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    name: str
    tier: str | None
    model: str
    port: int
    memory_gb: float | None


@dataclass(frozen=True, slots=True)
class Draft:
    """Values that are not written yet."""

    documents: tuple[dict[str, Any], ...]
    stack: dict[str, Any]
    declared: tuple[Declared, ...]


@dataclass(frozen=True, slots=True)
class Founded:
    stack: str
    deployments: tuple[Declared, ...]
    files: tuple[str, ...]
    missing_models: tuple[str, ...]


def draft(
    store: Store,
    catalog: Catalog,
    found: Recommendation,
    question: Question,
    wanted: Wanted,
    clock: Clock = now,
) -> Draft:
    if not wanted.force and store.stack_path(wanted.stack).exists():
        message = f"there is a stack {wanted.stack!r} already"
        raise AlreadyExists(message, hint="mlxk init --force", stack=wanted.stack)
    declared = [*_tiers(catalog, found, wanted), *_added(store, catalog, question, wanted)]
    if not declared:
        raise NothingFits(f"nothing fits {question.budget_gb:.1f} GB", hint="mlxk init --add MODEL")
    _fits(declared, question, wanted)
    documents = tuple(_document(d) for d in declared)
    routes = {d.tier: d.name for d in declared if d.tier}
    routes = routes or {"standard": declared[0].name}
    stack = {
        "schema_version": 1,
        "name": wanted.stack,
        "profile_id": question.profile.profile_id,
        "intent": question.intent,
        "created": stamp(clock()),
        "budget_gb": question.budget_gb,
        "deployments": [d.name for d in declared],
        "routes": routes,
        "gateway": {"host": "127.0.0.1"},
    }
    _untouched(store, documents, wanted)
    return Draft(documents, stack, tuple(declared))


def write(store: Store, made: Draft) -> Founded:
    """Documents first, then the stack, then that it is the active one."""
    with files.locked(store.lock):
        written = [store.save(value) for value in made.documents]
        written.append(store.save_stack(made.stack))
        name = str(made.stack["name"])
        settings.save(store.home, settings.with_stack(store.settings(), name))
    missing = []
    for value in made.documents:
        deployment = document.parse(value)
        if weigh.find(deployment, store.home) is None:
            missing.append(weigh.reference(deployment, store.home))
    return Founded(name, made.declared, tuple(str(p) for p in written), tuple(missing))


def _tiers(catalog: Catalog, found: Recommendation, wanted: Wanted) -> list[Declared]:
    rows = []
    for tier in found.tiers:
        if wanted.remove and {tier.tier, tier.model} & set(wanted.remove):
            continue
        entry = catalog.find(tier.model)
        repo = entry.sources[tier.quant].hf_repo
        port = drafting.PORTS[tier.tier]
        rows.append(Declared(tier.model, tier.tier, repo, port, tier.memory_gb))
    return rows


def _added(store: Store, catalog: Catalog, question: Question, wanted: Wanted) -> list[Declared]:
    taken = set(drafting.PORTS.values())
    rows = []
    for model in wanted.add:
        port = drafting.next_port(taken)
        taken.add(port)
        rows.append(_extra(store, catalog, question.quant, model, port))
    return rows


def _extra(store: Store, catalog: Catalog, quant: str, model: str, port: int) -> Declared:
    entry = _entry(catalog, model)
    if entry is None:
        name = drafting.name_of(model)
        trial = document.parse(drafting.draft(name, model, {}))
        weight = weigh.weigh(trial, weigh.find(trial, store.home))
        return Declared(name, None, model, port, weight.total_gb if weight else None)
    if entry.gated:
        raise GatedRepo(f"{entry.id} is gated: its page asks for consent first")
    own = quant_of(entry, quant)
    memory = round(weights_gb(entry.params_b, own) * SPARE, 2)
    return Declared(entry.id, None, entry.sources[own].hf_repo, port, memory)


def _entry(catalog: Catalog, model: str) -> Entry | None:
    try:
        return catalog.find(model)
    except NotFound:
        return None


def _fits(declared: list[Declared], question: Question, wanted: Wanted) -> None:
    total = sum(d.memory_gb or 0.0 for d in declared)
    if total > question.budget_gb and not wanted.force:
        raise OverBudget(
            f"these need {total:.1f} GB, the budget is {question.budget_gb:.1f} GB",
            hint="--remove one, or --budget GB",
            total_gb=round(total, 2),
            budget_gb=question.budget_gb,
        )


def _document(declared: Declared) -> dict[str, Any]:
    changes = {"server.port": declared.port}
    return drafting.draft(declared.name, declared.model, changes)


def _untouched(store: Store, documents: tuple[dict[str, Any], ...], wanted: Wanted) -> None:
    """What a user wrote by hand is not replaced without being told to."""
    for value in documents:
        if store.path(value["name"]).exists() and not wanted.force:
            message = f"there is a deployment {value['name']!r} already"
            raise AlreadyExists(message, hint="mlxk init --force", name=value["name"])
