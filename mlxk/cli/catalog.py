"""`mlxk catalog`: the models that recommendations choose from."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlxk.cli.registry import command, group

if TYPE_CHECKING:
    from mlxk.advise.catalog import Entry, Problem

group("catalog", "Models that `recommend` knows.")

_DIR = typer.Option("--dir", help="A folder of YAML files instead of the shipped catalog.")


@dataclass(frozen=True, slots=True)
class Listed:
    models: "tuple[Entry, ...]"
    count: int
    problems: "tuple[Problem, ...]"


@dataclass(frozen=True, slots=True)
class Shown:
    model: "Entry"


@dataclass(frozen=True, slots=True)
class Validated:
    valid: bool
    count: int
    problems: "tuple[Problem, ...]"


def _listed(value: Listed, _: dict[str, Any]) -> str:
    from mlxk.cli.tables import columns

    rows = [
        (m.id, f"{m.params_b:g}B", m.family, "yes" if m.capabilities.tool_calling else "no",
         m.quality.overall, len(m.benchmarks), ", ".join(m.tags))
        for m in value.models
    ]  # fmt: skip
    header = ("ID", "SIZE", "FAMILY", "TOOLS", "QUALITY", "BENCHMARKS", "TAGS")
    return columns(header, rows, right="SIZE QUALITY BENCHMARKS") if rows else "No such models."


def _shown(value: Shown, _: dict[str, Any]) -> str:
    from mlxk.contract.encoding import dumps

    return dumps(value.model, indent=True).decode()


def _validated(value: Validated, _: dict[str, Any]) -> str:
    lines = [f"{p.file}{p.pointer and f' {p.pointer}'}: {p.message}" for p in value.problems]
    return "\n".join([*lines, f"{value.count} entries are valid"])


@command("catalog list", _listed)
def list_entries(
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    tool_calling: Annotated[
        bool, typer.Option("--tool-calling", help="Only those that call tools.")
    ] = False,
    folder: Annotated[Path | None, _DIR] = None,
) -> Listed:
    """List the catalog.

    mlxk catalog list --tool-calling --family qwen3
    """
    from mlxk.advise.catalog import Wanted, load

    catalog = load(folder)
    wanted = Wanted(family, tag, tool_calling)
    models = tuple(entry for entry in catalog.entries if wanted.matches(entry))
    return Listed(models, len(models), catalog.problems)


@command("catalog show", _shown)
def show(
    model: Annotated[str, typer.Argument(help="An id, or one of its repositories.")],
    folder: Annotated[Path | None, _DIR] = None,
) -> Shown:
    """Show one entry with the sources of its figures.

    mlxk catalog show qwen3-4b-instruct-2507
    """
    from mlxk.advise.catalog import load

    return Shown(load(folder).find(model))


@command("catalog validate", _validated)
def validate(folder: Annotated[Path | None, _DIR] = None) -> Validated:
    """Check every entry against its schema; all problems of all files are named.

    mlxk catalog validate --dir ./my-catalog
    """
    from mlxk.advise.catalog import load
    from mlxk.contract.errors import InvalidDocument

    catalog = load(folder)
    result = Validated(not catalog.problems, len(catalog.entries), catalog.problems)
    if catalog.problems:
        first = catalog.problems[0]
        message = f"{first.file}: {first.message} at {first.pointer or '/'}"
        raise InvalidDocument(message, hint="mlxk schema documents/catalog-entry", data=result)
    return result
