"""`serve --deployment`: from a document to what `serve` would have been asked by hand."""

import os
import time
from dataclasses import dataclass, replace

from mlxk.contract.errors import InvalidValue
from mlxk.deploy import checking, record, weigh
from mlxk.deploy.record import Record
from mlxk.deploy.store import Store
from mlxk.system import paths, process


@dataclass(frozen=True, slots=True)
class Asked:
    """`digest` is of the document as it was read."""

    digest: str
    model: str
    model_id: str | None
    host: str
    port: str
    api_key_env: str | None
    context: int | None
    max_concurrency: int | None
    kv_bits: int | None
    draft: str
    keep_alive: str | None


def declared(name: str) -> Asked:
    """The port is what the starter chose, else the document's."""
    store = Store(paths.home())
    deployment = store.load(name)
    if deployment.engine.name != "mlxk":
        hint = f"mlxk up {name}"
        raise InvalidValue(f"{name} is served by {deployment.engine.name}, not by mlxk", hint=hint)
    checking.warn(deployment)
    port = os.environ.get("MLXK_PORT") or str(deployment.server.port or "auto")
    cache, idle = deployment.kv_cache, deployment.keep_alive_s
    return Asked(
        digest=deployment.digest,
        model=weigh.reference(deployment, store.home),
        model_id=deployment.server.model_id,
        host=deployment.server.host,
        port=port,
        api_key_env=deployment.api_key_env,
        context=deployment.context,
        max_concurrency=deployment.server.decode_concurrency,
        kv_bits=cache.bits if cache else None,
        draft=deployment.server.draft or "auto",
        keep_alive=None if idle is None else f"{idle:g}s",
    )


def adopt(name: str, digest: str, port: int) -> None:
    """Started by the operating system, not by `up`: the record is ours to write."""
    store = Store(paths.home())
    known = record.read(store.home, name) or Record(name)
    if known.pid == os.getpid():
        return
    own = known.of(process.identity())
    now = time.time()
    record.write(
        store.home,
        replace(own, desired="running", owner=_owner(), port=port, config_digest=digest,
                held=False, started_at=now, ready_at=now),
    )  # fmt: skip


def settled(name: str, digest: str) -> None:
    """What runs is what the document says now: nobody needs to restart it."""
    home = paths.home()
    known = record.read(home, name)
    if known is not None and known.pid == os.getpid():
        record.write(home, replace(known, config_digest=digest))


def _owner() -> record.Owner:
    if "INVOCATION_ID" in os.environ:
        return "systemd"
    return "launchd" if os.environ.get("XPC_SERVICE_NAME", "0") not in ("", "0") else "local"
