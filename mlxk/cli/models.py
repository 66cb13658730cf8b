"""Commands about models as files: list, show, health."""

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlxk.cli import tables
from mlxk.cli.registry import command

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from mlxk.hub.contents import Contents
    from mlxk.hub.fleet import Progress
    from mlxk.hub.inspect import Metadata
    from mlxk.hub.model import Model, Place, Verdict
    from mlxk.hub.provenance import State
    from mlxk.hub.reading import Document
    from mlxk.hub.remembered import Known
    from mlxk.hub.show import FileEntry

    Checking = Generator[Progress, None, "Health"]


@dataclass(frozen=True, slots=True)
class Listing:
    models: "tuple[Model, ...]"
    count: int


@dataclass(frozen=True, slots=True)
class Shown:
    model: "Model"
    path: str
    metadata: "Metadata"
    files: "tuple[FileEntry, ...] | None"
    config: "Document | None"
    workspace: "State | None"


@dataclass(frozen=True, slots=True)
class HealthItem:
    name: str
    hash: str | None
    status: Literal["healthy", "unhealthy"]
    reason: str | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HealthSummary:
    total: int
    healthy_count: int
    unhealthy_count: int


@dataclass(frozen=True, slots=True)
class Health:
    healthy: tuple[HealthItem, ...]
    unhealthy: tuple[HealthItem, ...]
    summary: HealthSummary


@command("list", human=tables.models)
def list_models(
    pattern: Annotated[str | None, typer.Argument(help="Part of a name, or a glob.")] = None,
    health: Annotated[bool, typer.Option("--health", help="Show health and reason.")] = False,
    all: Annotated[bool, typer.Option("--all", help="Show every framework and type.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show base models as well.")] = False,
    revisions: Annotated[
        bool, typer.Option("--revisions", help="One row for each revision on disk.")
    ] = False,
) -> Listing:
    """List the models on this machine: the cache, workspaces, and what ships with mlxk.

    The table shows MLX chat models; --json has every model.

    mlxk list

    mlxk list qwen --all --health

    mlxk list --json | jq -r '.data.models[] | select(.health == "unhealthy") | .name'
    """
    from mlxk.hub import listing

    places = listing.matching(listing.places(revisions=revisions), pattern)
    models = tuple(known.model for known in _known(places, thorough=False))
    return Listing(models, len(models))


def _known(places: "tuple[Place, ...]", *, thorough: bool) -> "list[Known]":
    """What is known about each; what is not remembered is found out."""
    from mlxk.hub.remembered import Known, Memory

    def judge(place: "Place", contents: "Contents") -> Known:
        from mlxk.hub.describe import describe

        report = describe(place, contents, thorough=thorough)
        return Known(report.model, report.verdict)

    with _uncollected():
        memory = Memory("thorough" if thorough else "listed", judge)
        found = [memory.about(place) for place in places]
    memory.save()
    return found


@contextmanager
def _uncollected() -> "Iterator[None]":
    """Headers are millions of small objects and no cycles: looking for cycles costs a fifth."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@command("show", human=tables.shown)
def show(
    model: Annotated[str, typer.Argument(help="A name, name@revision, or a folder.")],
    files: Annotated[bool, typer.Option("--files", help="Also list the files.")] = False,
    config: Annotated[bool, typer.Option("--config", help="Also print config.json.")] = False,
) -> Shown:
    """Show one model: what it is, its dimensions, whether it is whole and would run.

    mlxk show builtin:tiny

    mlxk show Qwen3-0.6B-4bit --files

    mlxk show org/name@v1.0 --json | jq .data.metadata.context_length
    """
    from mlxk.hub import names, provenance
    from mlxk.hub.describe import describe
    from mlxk.hub.inspect import metadata
    from mlxk.hub.show import entries

    report = describe(names.locate(model), thorough=True)
    contents = report.reading.contents
    return Shown(
        model=report.model,
        path=str(contents.folder),
        metadata=metadata(report.reading),
        files=entries(contents) if files else None,
        config=_plain(report.reading.config) if config else None,
        workspace=provenance.state(contents) if report.model.source == "workspace" else None,
    )


def _plain(config: "Document") -> "Document | None":
    from mlxk.hub.text import plain

    value = plain(config)
    return value if isinstance(value, dict) and value else None


@command("health", human=tables.health, live=tables.progress)
def health(
    pattern: Annotated[str | None, typer.Argument(help="A name, a glob, or a folder.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash every file again; reads all bytes.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 3 when a model is unhealthy.")
    ] = False,
) -> "Health | Checking":
    """Check that models are whole: healthy means that their framework would load them.

    mlxk health

    mlxk health Qwen3-0.6B-4bit --verify

    mlxk health --strict --json | jq -r '.data.unhealthy[] | "\\(.name): \\(.reason)"'
    """
    places = _chosen(pattern)
    if verify:
        return _verified(places, strict=strict)
    items = [_item(known.model, known.verdict) for known in _known(places, thorough=True)]
    return _gated(_sorted_by_health(items), strict=strict)


def _verified(places: "tuple[Place, ...]", *, strict: bool) -> "Checking":
    from mlxk.hub import verify
    from mlxk.hub.describe import describe

    reports = [describe(place, thorough=True) for place in places]
    wrong = yield from verify.verify(report.reading.contents for report in reports)
    found = [_item(r.model, r.verdict, verify.problems(r.reading.contents, wrong)) for r in reports]
    return _gated(_sorted_by_health(found), strict=strict)


def _gated(value: Health, *, strict: bool) -> Health:
    from mlxk.contract.errors import ModelUnhealthy

    if strict and value.unhealthy:
        first, bad = value.unhealthy[0], value.summary.unhealthy_count
        raise ModelUnhealthy(
            f"{bad} of {value.summary.total} models unhealthy; {first.name}: {first.reason}",
            hint=f"mlxk pull {first.name} repairs what the hub has" if first.hash else None,
            data=value,
            exit_code=3,
        )
    return value


def _chosen(pattern: str | None) -> "tuple[Place, ...]":
    """All models, those that a part of a name or a glob means, or the one that a spec means."""
    from mlxk.hub import listing, names

    if pattern is None:
        return listing.places()
    return listing.matching(listing.places(), pattern) or (names.locate(pattern),)


def _item(model: "Model", verdict: "Verdict", more: tuple[str, ...] = ()) -> HealthItem:
    problems = tuple(dict.fromkeys((*verdict.problems, *more)))
    return HealthItem(
        name=model.name,
        hash=model.hash,
        status="unhealthy" if problems else "healthy",
        reason=problems[0] if problems else None,
        problems=problems,
        warnings=verdict.warnings,
    )


def _sorted_by_health(items: list[HealthItem]) -> Health:
    healthy = tuple(item for item in items if item.status == "healthy")
    unhealthy = tuple(item for item in items if item.status == "unhealthy")
    return Health(healthy, unhealthy, HealthSummary(len(items), len(healthy), len(unhealthy)))
