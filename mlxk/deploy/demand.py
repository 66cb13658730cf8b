"""Deployments that run while somebody asks for them: begun and ended for the gateway.

Each step is short; whoever calls waits between them. Nothing here knows who asks.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

from mlxk.contract.errors import (
    InvalidDocument,
    Locked,
    MlxkError,
    NotFound,
    NotRunning,
    StartTimeout,
)
from mlxk.deploy import backoff, events, local, record
from mlxk.deploy.document import Deployment
from mlxk.deploy.local import Host
from mlxk.deploy.record import Record
from mlxk.system import files, process

_LOCK_S = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """A live process of a deployment, and how its API is asked."""

    deployment: Deployment
    host: str
    port: int
    key: str | None
    pid: int
    is_stale: bool


def find(host: Host, name: str) -> Place | None:
    """None: it does not run. `is_stale`: its document was edited since it started."""
    known = record.read(host.store.home, name)
    if known is None or known.desired == "stopped" or not known.is_alive():
        return None
    try:
        deployment = host.documents.load(name)
    except (InvalidDocument, NotFound):
        return None
    where = local.target(deployment, known, host.env)
    stale = known.desired == "on_demand" and known.config_digest != deployment.digest
    return Place(deployment, where.host, where.port, where.key, known.pid or 0, stale)


def is_offered(host: Host, name: str) -> bool:
    """Whether asking for it may start it."""
    known = record.read(host.store.home, name)
    return known is not None and known.desired == "on_demand" and not known.held


def begin(host: Host, name: str) -> Record:
    """Spawn it, or find it spawned. Locked when somebody changes things: try again."""
    with files.locked_within(host.store.lock, _LOCK_S):
        known = record.read(host.store.home, name)
        if known is not None and known.desired != "stopped" and known.is_alive():
            return known
        if known is None or known.desired != "on_demand":
            state = "is not started" if known is None or known.desired == "stopped" else "is down"
            raise NotRunning(f"{name} {state}", hint=f"mlxk up {name}", name=name)
        deployment = host.store.load(name)
        _may_start(host, deployment, _buried(host, known))
        return local.start(host, deployment)


def is_ready(host: Host, begun: Record) -> bool:
    """One look at a start. What fails leaves no process, and counts."""
    deployment = host.store.load(begun.name)
    if not begun.is_alive():
        raise _failed(host, deployment, begun, local.ending(host, begun))
    if local.is_ready(deployment, begun, host.env, timeout_s=host.limits.look_s):
        _written(host, replace(begun, ready_at=host.now(), reason="user", last_exit=None))
        events.tell(host.store.home, "ready", begun.name, pid=begun.pid)
        return True
    if host.now() - (begun.started_at or 0) > deployment.probe.timeout_s:
        local.stop(host, begun)
        raise _failed(host, deployment, begun, "probe_timeout")
    return False


def end(host: Host, name: str, reason: str) -> None:
    """Stop what was started on demand. What the user wants to run in the meantime stays."""
    with files.locked_within(host.store.lock, _LOCK_S):
        known = record.read(host.store.home, name)
        if known is None or known.desired != "on_demand" or known.pid is None:
            return
        graceful = local.stop(host, known)
        record.write(host.store.home, replace(known.of(None), reason=reason, ready_at=None))
    events.tell(host.store.home, "stopped", name, reason=reason, graceful=graceful)


def reap(host: Host) -> None:
    """Children that ended by themselves must not stay as zombies."""
    for child in host.children.values():
        child.poll()


def _may_start(host: Host, deployment: Deployment, known: Record) -> None:
    if not (known.restarts or known.held):
        return
    boot = process.boot_id()
    decision = backoff.decide(deployment.restart, known, host.now(), boot)
    if decision.action == "hold":
        record.write(host.store.home, replace(known, held=True, next_try_at=None))
        message = f"{known.name} was given up after too many failures"
        raise NotRunning(message, hint=f"mlxk up {known.name} --clear", name=known.name)
    if decision.action == "wait":
        seconds = decision.at - host.now()
        message = f"{known.name} failed, and is tried again in {seconds:.0f} s"
        raise NotRunning(message, hint=f"mlxk logs {known.name}", name=known.name)


def _buried(host: Host, known: Record) -> Record:
    """One that died since it was last asked counts as a failure."""
    if known.pid is None:
        return known
    local.sweep(known)
    how = local.ending(host, known)
    host.children.pop(known.pid, None)
    events.tell(host.store.home, "died", known.name, reason=how)
    dead = replace(known.of(None), last_exit=how, reason=how, ready_at=None)
    return _counted(host, host.store.load(known.name), dead)


def _counted(host: Host, deployment: Deployment, known: Record) -> Record:
    tried = backoff.tried(deployment.restart, known, host.now(), process.boot_id())
    if len(tried.restarts) == 1:  # after the first, whoever asks next may try at once
        tried = replace(tried, next_try_at=host.now())
    record.write(host.store.home, tried)
    return tried


def _failed(host: Host, deployment: Deployment, begun: Record, reason: str) -> MlxkError:
    local.sweep(begun)
    how = local.ending(host, begun)
    with suppress(Locked), files.locked_within(host.store.lock, _LOCK_S):
        fresh = record.read(host.store.home, begun.name)
        if fresh is not None and fresh.pid == begun.pid and fresh.desired != "stopped":
            dead = replace(fresh.of(None), last_exit=how, reason=reason, ready_at=None)
            _counted(host, deployment, dead)
    events.tell(host.store.home, "failed", begun.name, reason=reason)
    if reason == "probe_timeout":
        message = f"{begun.name} was not ready within {deployment.probe.timeout_s:g} s"
        return StartTimeout(message, hint=f"mlxk logs {begun.name}", name=begun.name)
    message = f"{begun.name} ended before it was ready ({reason})"
    return NotRunning(message, hint=f"mlxk logs {begun.name}", name=begun.name)


def _written(host: Host, changed: Record) -> None:
    """Unless somebody else changed it: `down` must not be undone."""
    with files.locked_within(host.store.lock, _LOCK_S):
        fresh = record.read(host.store.home, changed.name)
        if fresh is not None and fresh.pid == changed.pid and fresh.desired != "stopped":
            record.write(host.store.home, replace(changed, desired=fresh.desired))
