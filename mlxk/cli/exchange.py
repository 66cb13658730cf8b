"""`mlxk deploy validate|import|render`: documents that come from elsewhere or go there."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlxk.cli.deploy import Document, lock, open_store, save, written
from mlxk.cli.registry import command

if TYPE_CHECKING:
    from mlxk.deploy.checking import Verdict
    from mlxk.deploy.store import Store


@dataclass(frozen=True, slots=True)
class Rendered:
    format: str
    content: str


def _verdict(value: "Verdict", _: dict[str, Any]) -> str:
    lines = [f"{p.pointer or '/'}: {p.message}" for p in value.problems]
    if value.valid:
        size = f", about {value.estimate.total_gb:.2f} GB" if value.estimate else ""
        lines.append(f"{value.name} is valid{size}.")
    return "\n".join(lines)


@command("deploy validate", _verdict)
def validate(
    document: Annotated[str, typer.Argument(help="A deployment, or a JSON or YAML file.")],
    budget: Annotated[float | None, typer.Option(min=0.1, help="GB it must fit.")] = None,
) -> "Verdict":
    """Check a document: every problem with its JSON pointer, and what its model will weigh.

    mlxk deploy validate standard

    mlxk deploy validate ./config.json --json | jq .data.problems
    """
    from mlxk.contract.errors import InvalidDocument
    from mlxk.deploy import checking, drafting
    from mlxk.system.paths import named

    store = open_store()
    if "/" in document or document.endswith((".json", ".yaml", ".yml")):
        value, name = drafting.imported(named(document), None), None
    else:
        value, name = store.raw(document), document
    verdict = checking.judge(store, value, name, budget or _budget(store))
    if not verdict.valid:
        first = verdict.problems[0]
        message = f"{document}: {first.message} at {first.pointer or '/'}"
        raise InvalidDocument(message, hint="mlxk schema documents/deployment", data=verdict)
    return verdict


@command("deploy import", written)
def import_document(
    file: Annotated[Path, typer.Argument(help="A JSON or YAML file.")],
    name: Annotated[str | None, typer.Option(help="Another name for it.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the document.")] = False,
) -> Document:
    """Take over a document from a file. A relative model path is taken from the file's folder.

    mlxk deploy import ./config.json
    """
    from mlxk.contract.errors import AlreadyExists
    from mlxk.deploy import drafting
    from mlxk.system.paths import named

    store = open_store()
    value = drafting.imported(named(str(file)), name)
    with lock(store):
        known = str(value.get("name", ""))
        if known in store.names() and not force:
            raise AlreadyExists(f"there is a deployment {known!r} already", hint="--name OTHER")
        return save(store, value)


@command("deploy render", lambda value, _: value.content.rstrip())
def render(
    name: Annotated[str | None, typer.Argument(help="A deployment; default: the stack's.")] = None,
    format_: Annotated[str, typer.Option("--format", help="command or litellm.")] = "command",
) -> Rendered:
    """Show documents as others want them: a command line, or LiteLLM's configuration.

    mlxk deploy render standard

    mlxk deploy render --format litellm > litellm.yaml
    """
    import yaml

    from mlxk.contract.errors import InvalidValue
    from mlxk.deploy import engines, export, weigh

    store = open_store()
    stack = store.active()
    names = [name] if name else list(stack.deployments if stack else store.names())
    deployments = tuple(store.load(each) for each in names)
    if format_ == "litellm":
        content = yaml.safe_dump(export.litellm(deployments, stack), sort_keys=False)
    elif format_ == "command":
        launches = (
            engines.launch(d, weigh.reference(d, store.home), d.server.port or 0, sys.executable)
            for d in deployments
        )
        content = "\n".join(map(export.command_line, launches)) + "\n"
    else:
        raise InvalidValue(f"no format is called {format_!r}", hint="command or litellm")
    return Rendered(format_, content)


def _budget(store: "Store") -> float | None:
    stack = store.active()
    return stack.budget_gb if stack else None
