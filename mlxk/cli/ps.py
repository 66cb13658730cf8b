"""`mlxk ps`: what a server has loaded, with live figures."""

import os
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from mlxk.cli import tables
from mlxk.cli.registry import command

_DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """`expires_at` null: it stays until its memory is needed."""

    name: str
    phase: str
    active_sequences: int
    queued: int
    context_length: int | None
    expires_at: str | None


@dataclass(frozen=True, slots=True)
class Loaded:
    url: str
    models: tuple[LoadedModel, ...]


def _table(value: Loaded, _: dict[str, Any]) -> str:
    rows = [
        (m.name, m.phase, m.active_sequences, m.queued, m.context_length, m.expires_at)
        for m in value.models
    ]
    header = ("MODEL", "PHASE", "ACTIVE", "QUEUED", "CONTEXT", "EXPIRES")
    return tables.columns(header, rows, right="ACTIVE QUEUED CONTEXT")


@command("ps", _table)
def ps(
    url: Annotated[
        str | None,
        typer.Argument(help=f"Where it listens; default: the running gateway, else {_DEFAULT_URL}"),
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="The environment variable that holds its key.")
    ] = None,
) -> Loaded:
    """Show what a running server has loaded and how busy it is.

    mlxk ps

    mlxk ps http://127.0.0.1:8001 --json | jq -r '.data.models[].name'
    """
    base = (url or _running()).rstrip("/").removesuffix("/v1")
    data = _asked(f"{base}/api/ps", os.environ.get(api_key_env) if api_key_env else None)
    return Loaded(base, _models(base, data))


def _running() -> str:
    from mlxk.cli.deploy import open_store
    from mlxk.deploy import gateway

    return gateway.endpoint(open_store()) or _DEFAULT_URL


def _asked(url: str, key: str | None) -> bytes:
    from mlxk.contract.errors import InvalidValue, NotFound, Unauthorized
    from mlxk.system import asking

    if not url.startswith(("http://", "https://")):
        raise InvalidValue(f"{url!r} is not an http URL", hint=f"mlxk ps {_DEFAULT_URL}")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        status, data = asking.get(url, headers, timeout_s=5)
    except OSError as e:
        raise NotFound(f"no server answers at {url}", hint="mlxk serve", url=url) from e
    if status == 401:
        raise Unauthorized(f"{url} asks for a key", hint="--api-key-env VAR")
    if status != 200:
        raise NotFound(f"{url} answers {status}: it is no mlxk server", url=url)
    return data


def _models(url: str, data: bytes) -> tuple[LoadedModel, ...]:
    """Ollama has the path, too, and other rows."""
    from mlxk.contract.encoding import loads
    from mlxk.contract.errors import InvalidDocument, NotFound

    names = LoadedModel.__slots__
    try:
        rows = loads(data, "the answer")["models"]
        return tuple(LoadedModel(**{name: row[name] for name in names}) for row in rows)
    except (InvalidDocument, KeyError, TypeError) as e:
        raise NotFound(f"{url} is no mlxk server", hint="mlxk serve", url=url) from e
