"""`mlxk deploy list|show|add|set|rm`: read and write documents. Starts nothing."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlxk.cli.registry import command, group

if TYPE_CHECKING:
    from mlxk.deploy.store import Store

group("deploy", "Deployment documents: what should be served. `mlxk up` makes it so.")

_NAME = typer.Argument(help="A deployment.")


@dataclass(frozen=True, slots=True)
class Row:
    """`model` and `port` are null in a document that is not valid; `problem` says why."""

    name: str
    display_name: str | None
    model: str | None
    engine: str | None
    host: str | None
    port: int | None
    autostart: str | None
    tier: str | None
    valid: bool
    problem: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    deployments: tuple[Row, ...]
    stack: str | None
    stacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    name: str
    path: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Removed:
    name: str
    path: str


def _listed(value: Listed, _: dict[str, Any]) -> str:
    from mlxk.cli.tables import columns

    rows = [
        (r.name, r.tier, r.model, r.engine, r.port or "auto", r.autostart)
        if r.valid
        else (r.name, None, f"invalid: {r.problem}", None, None, None)
        for r in value.deployments
    ]
    if not rows:
        return "No deployments. Make some: mlxk init, or mlxk deploy add NAME --model MODEL"
    return columns(("NAME", "TIER", "MODEL", "ENGINE", "PORT", "AUTOSTART"), rows, right="PORT")


def _document(value: Document, _: dict[str, Any]) -> str:
    from mlxk.contract.encoding import dumps

    return dumps(value.document, indent=True).decode()


def written(value: Document, _: dict[str, Any]) -> str:
    return f"Wrote {value.path}. Make it so: mlxk up {value.name}"


@command("deploy list", _listed)
def list_documents() -> Listed:
    """List the deployments; a broken document does not hide the others.

    mlxk deploy list --json | jq -r '.data.deployments[] | select(.valid | not) | .problem'
    """
    store = open_store()
    stack = store.active()
    rows = tuple(_row(store, name, stack.tier(name) if stack else None) for name in store.names())
    return Listed(rows, stack.name if stack else None, store.stacks())


@command("deploy show", _document)
def show(name: Annotated[str, _NAME]) -> Document:
    """Show one document as it is written.

    mlxk deploy show standard
    """
    store = open_store()
    value = store.raw(name)
    return Document(name, str(store.path(name)), value if isinstance(value, dict) else {})


@command("deploy add", written)
def add(
    name: Annotated[str, typer.Argument(help="Its name, which is the file's.")],
    model: Annotated[str, typer.Option(help="org/name, a folder, builtin:tiny, a catalog id.")],
    port: Annotated[str | None, typer.Option(help="A port, or auto.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    engine: Annotated[str | None, typer.Option(help="mlxk, mlx-lm, mlx-vlm, vllm-mlx.")] = None,
    context: Annotated[int | None, typer.Option(help="Longest conversation, in tokens.")] = None,
    keep_alive: Annotated[str | None, typer.Option(help="Unload when idle so long.")] = None,
    autostart: Annotated[str | None, typer.Option(help="always, on-demand or manual.")] = None,
    api_key_env: Annotated[str | None, typer.Option(help="Variable that holds the key.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any field: KEY=VALUE.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the document.")] = False,
) -> Document:
    """Write one checked document. Nothing is started.

    mlxk deploy add tiny --model builtin:tiny --port 8010

    mlxk deploy add big --model mlx-community/Qwen3-8B-4bit --port auto --set parameters.temp=0.6
    """
    from mlxk.contract.errors import AlreadyExists
    from mlxk.deploy import drafting

    changes = {
        "server.port": int(port) if port and port.isdigit() else port,
        "server.host": host,
        "engine": engine,
        "context": context,
        "keep_alive": _duration(keep_alive),
        "autostart": autostart,
        "auth.api_key_env": api_key_env,
    }
    value = drafting.draft(name, model, changes)
    for text in set_ or ():
        drafting.put(value, *drafting.assignment(text))
    store = open_store()
    with lock(store):
        if store.path(name).exists() and not force:
            hint = f"mlxk deploy set {name} KEY=VALUE, or --force"
            raise AlreadyExists(f"there is a deployment {name!r} already", hint=hint, name=name)
        return save(store, value)


@command("deploy set", written)
def set_fields(
    name: Annotated[str, _NAME],
    changes: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...")],
) -> Document:
    """Change fields of a document; `KEY=` takes one away. `mlxk up` restarts only what changed.

    mlxk deploy set standard server.port=8001 parameters.temp=0.7 keep_alive=
    """
    from mlxk.deploy import drafting

    store = open_store()
    with lock(store):
        value = store.raw(name)
        for text in changes:
            drafting.put(value, *drafting.assignment(text))
        return save(store, value, name)


@command("deploy rm", lambda value, _: f"Removed {value.path}.")
def remove(
    name: Annotated[str, _NAME],
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")] = False,
) -> Removed:
    """Delete a document, and take it out of its stacks. A running one must be stopped first.

    mlxk down old && mlxk deploy rm old --force
    """
    from mlxk.contract.errors import ConfirmationRequired, Interrupted
    from mlxk.deploy import record

    store = open_store()
    path = store.path(name)
    if not force and path.exists():
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ConfirmationRequired(f"this deletes {path}", hint="add --force", name=name)
        if not typer.confirm(f"Delete {path}?", err=True):
            raise Interrupted("nothing was deleted", exit_code=1)
    with lock(store):
        record.refuse_if_running(store.home, name)
        store.remove(name)
        store.without(name)
        record.forget(store.home, name)
    return Removed(name, str(path))


def open_store() -> "Store":
    from mlxk.deploy.store import Store
    from mlxk.system import paths

    return Store(paths.home())


def lock(store: "Store") -> Any:
    from mlxk.system.files import locked

    return locked(store.lock, wait=True)


def _row(store: "Store", name: str, tier: str | None) -> Row:
    from mlxk.contract.errors import InvalidDocument

    try:
        d = store.load(name)
    except InvalidDocument as e:
        return Row(name, None, None, None, None, None, None, tier, False, str(e))
    return Row(
        name=name,
        display_name=d.display_name,
        model=d.model,
        engine=d.engine.name,
        host=d.server.host,
        port=d.server.port,
        autostart=d.autostart,
        tier=tier,
        valid=True,
        problem=None,
    )


def save(store: "Store", value: dict[str, Any], name: str | None = None) -> Document:
    from mlxk.deploy import checking
    from mlxk.deploy import document as documents

    deployment = documents.parse(value, name=name)
    path = store.save(value)
    checking.warn(deployment)
    return Document(deployment.name, str(path), value)


def _duration(text: str | None) -> float | str | None:
    if text is None:
        return None
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() else text
