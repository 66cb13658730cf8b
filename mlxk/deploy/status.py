"""How the deployments are: processes, answers, records, put into words. Writes nothing."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument, MlxkError, NotFound
from mlxk.contract.notes import note
from mlxk.deploy import gateway, local, managers, probe, record
from mlxk.deploy.document import GATEWAY, Deployment
from mlxk.deploy.record import Record
from mlxk.deploy.stack import Stack
from mlxk.deploy.store import Store
from mlxk.system import network
from mlxk.system.memory import resident_bytes

State = Literal["healthy", "degraded", "down", "crashed", "stopped"]
Phase = Literal[
    "stopped", "starting", "loading", "ready", "idle", "stopping", "backoff", "held", "failed"
]
HEALTHY_S = 2.0
DEGRADED_S = 5.0
_WORKERS = 32


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    tier: str | None
    model: str | None
    port: int | None
    state: State
    phase: Phase
    desired: Literal["running", "on_demand", "stopped"]
    owner: Literal["local", "launchd", "systemd"] | None
    installed: bool
    pid: int | None
    uptime_s: float | None
    response_time_s: float | None
    restarts: int
    reason: str | None
    last_exit: str | None
    memory_gb: float | None
    expires_at: str | None


@dataclass(frozen=True, slots=True)
class Gateway:
    """The address in front of the deployments. `port` is null until one was taken."""

    name: str
    host: str
    port: int | None
    url: str | None
    state: State
    phase: Phase
    desired: Literal["running", "on_demand", "stopped"]
    pid: int | None
    uptime_s: float | None
    restarts: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """`gateway` is null where none is declared and none runs; `no_stack`: no stack is active."""

    stack: str | None
    services: tuple[Service, ...]
    gateway: Gateway | None
    summary: dict[str, int]
    hardware: str | None
    no_stack: bool


@dataclass(frozen=True, slots=True)
class Seen:
    state: State
    phase: Phase
    response_time_s: float | None = None


def status(store: Store, names: tuple[str, ...], env: Mapping[str, str], now: float) -> Status:
    """All at once: one that hangs does not hold up the others."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 -- only this needs threads

    stack = _stack(store)
    units = managers.installed(env)

    def row(name: str) -> Service:
        return service(store, name, stack, env, now=now, installed=name in units)

    front = gateway.is_there(store, stack, running=True)
    asked = tuple(name for name in names if name != GATEWAY)
    with ThreadPoolExecutor(max(1, min(_WORKERS, len(asked) + front))) as pool:
        found = pool.submit(row, GATEWAY) if front else None
        rows = tuple(pool.map(row, asked))
    summary = Counter(r.state for r in rows)
    return Status(
        stack=stack.name if stack else None,
        services=rows,
        gateway=_front(stack, found.result()) if found else None,
        summary={k: summary[k] for k in ("healthy", "degraded", "down", "crashed", "stopped")},
        hardware=_hardware(store.home),
        no_stack=stack is None,
    )


def service(
    store: Store,
    name: str,
    stack: Stack | None,
    env: Mapping[str, str],
    *,
    now: float,
    installed: bool,
) -> Service:
    known = record.read(store.home, name) or Record(name)
    deployment = _declared(store, name)
    alive = known.is_alive()
    seen = look(deployment, known, env, now) if alive else absent(known, now)
    port = known.port if alive else deployment.server.port if deployment else known.port
    return Service(
        name=name,
        tier=stack.tier(name) if stack else None,
        model=deployment.model if deployment else None,
        port=port,
        state=seen.state,
        phase=seen.phase,
        desired=known.desired,
        owner=known.owner if known.desired != "stopped" or alive else None,
        installed=installed,
        pid=known.pid if alive else None,
        uptime_s=round(now - known.started_at, 1) if alive and known.started_at else None,
        response_time_s=seen.response_time_s,
        restarts=len(known.restarts),
        # The user's reason was one to start it: nobody has seen yet how it died.
        reason=None if (seen.state, known.reason) == ("crashed", "user") else known.reason,
        last_exit=known.last_exit,
        memory_gb=_memory(known.pid) if alive else None,
        expires_at=_expiry(store, deployment, known, env) if alive else None,
    )


def _stack(store: Store) -> Stack | None:
    """A broken stack hides no process."""
    try:
        return store.active()
    except (InvalidDocument, NotFound) as e:
        note("invalid_stack", str(e))
        return None


def _front(stack: Stack | None, seen: Service) -> Gateway:
    host = stack.gateway.host if stack and stack.gateway else "127.0.0.1"
    return Gateway(
        name=seen.name,
        host=host,
        port=seen.port,
        url=network.url(network.reachable(host), seen.port) if seen.port else None,
        state=seen.state,
        phase=seen.phase,
        desired=seen.desired,
        pid=seen.pid,
        uptime_s=seen.uptime_s,
        restarts=seen.restarts,
        reason=seen.reason,
    )


def absent(known: Record, now: float) -> Seen:
    """No record and not desired is stopped; desired and dead is crashed, also after a reboot."""
    if known.desired == "stopped":
        return Seen("stopped", "stopped")
    if known.held:
        return Seen("crashed", "held")
    waits = known.next_try_at is not None and now < known.next_try_at
    if known.desired == "on_demand" and known.pid is None and not waits:
        return Seen("stopped", "idle")
    return Seen("crashed", "backoff" if waits else "failed")


def look(deployment: Deployment | None, known: Record, env: Mapping[str, str], now: float) -> Seen:
    """Ask a live process. `down`: alive, and not ready within five seconds."""
    if known.desired == "stopped":
        return Seen("down", "stopping")
    if deployment is None:
        return Seen("down", "failed")
    where = local.target(deployment, known, env)
    is_truthful = deployment.engine.name == "mlxk" and deployment.probe.ready is None
    if is_truthful or known.ready_at is not None:
        answer = probe.get(where, deployment.probe.live, DEGRADED_S)
    else:
        answer = local.ask_ready(deployment, where, DEGRADED_S)
    young = now - (known.started_at or now) < deployment.probe.timeout_s
    if answer is None:
        is_new = known.ready_at is None and young
        return Seen("down", "starting" if is_new else "failed")
    seconds = round(answer.seconds, 4)
    asleep = is_truthful and (answer.body or {}).get("phase") == "stopped"
    phase: Phase = "idle" if asleep else "ready"
    phase = phase if answer.is_good else _phase(answer.body, young=young)
    if phase not in ("ready", "idle"):
        return Seen("down", phase, seconds)
    return Seen("healthy" if answer.seconds <= HEALTHY_S else "degraded", phase, seconds)


def _phase(body: dict[str, Any] | None, *, young: bool) -> Phase:
    match (body or {}).get("phase"):
        case "starting":
            return "starting"
        case "loading":
            return "loading"
        case "idle":
            return "idle"
        case "failed":
            return "failed"
        case "stopped":
            return "stopping"
    return "loading" if young else "failed"


def _expiry(
    store: Store, deployment: Deployment | None, known: Record, env: Mapping[str, str]
) -> str | None:
    """When it leaves if nobody asks: who unloads it says so, itself or the gateway."""
    if deployment is None or deployment.keep_alive_s is None:
        return None
    if known.desired == "on_demand":
        front = record.read(store.home, GATEWAY)
        if front is None or not front.is_alive():
            return None
        return _leaving(local.target(store.load(GATEWAY), front, env), known.name)
    if deployment.engine.name != "mlxk":
        return None
    return _leaving(local.target(deployment, known, env), None)


def _leaving(where: probe.Target, name: str | None) -> str | None:
    answer = probe.get(where, "/api/ps", HEALTHY_S)
    rows = (answer.body or {}).get("models", ()) if answer and answer.is_good else ()
    return next((row.get("expires_at") for row in rows if name in (None, row.get("name"))), None)


def _declared(store: Store, name: str) -> Deployment | None:
    try:
        return store.load(name)
    except (InvalidDocument, NotFound):
        return None


def _memory(pid: int | None) -> float | None:
    count = resident_bytes(pid) if pid is not None else None
    return None if count is None else round(count / 1e9, 3)


def _hardware(home: Path) -> str | None:
    """The saved profile's id; nothing is detected here."""
    try:
        value = encoding.loads((home / "profile.json").read_bytes())
        return str(value["profile_id"])
    except (OSError, MlxkError, KeyError, TypeError):
        return None


def known_names(store: Store) -> tuple[str, ...]:
    """Every document, and everything that was started from one that is gone."""
    return tuple(sorted({*store.names(), *record.names(store.home)}))


def require(store: Store, name: str) -> None:
    """A name that nothing is known of is a mistake."""
    if name == GATEWAY and gateway.is_there(store, _stack(store), running=True):
        return
    if not store.path(name).exists() and record.read(store.home, name) is None:
        is_stack = name in store.stacks()
        hint = f"mlxk config set stack {name}, then mlxk up" if is_stack else "mlxk deploy list"
        raise NotFound(f"no deployment is called {name!r}", hint=hint, name=name)
