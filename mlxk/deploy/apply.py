"""Carry out a plan, one step after another; a failed step does not stop the rest."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Literal

from mlxk.contract.envelope import ErrorInfo
from mlxk.contract.errors import InvalidDocument, MlxkError, ModelNotFound, OverBudget, StartFailed
from mlxk.deploy import backoff, checking, events, local, record, weigh
from mlxk.deploy.document import Deployment
from mlxk.deploy.local import Host
from mlxk.deploy.plan import Observed, Step, Target
from mlxk.deploy.record import Record
from mlxk.deploy.services import ServiceManager
from mlxk.deploy.store import Store

Outcome = Literal["kept", "started", "restarted", "stopped", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Result:
    """`graceful`: it ended by itself when it was asked to; null where nothing was stopped."""

    name: str
    outcome: Outcome
    state: str
    phase: str
    pid: int | None
    port: int | None
    graceful: bool | None
    error: ErrorInfo | None


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of `--events`: a step begins."""

    type: Literal["step"]
    name: str
    action: str
    reason: str


@dataclass(frozen=True, slots=True)
class Options:
    """`manager` is who starts what the operating system owns.

    `on_demand`: there is a gateway, which starts such deployments when they are asked for.
    """

    wait: bool = True
    manager: ServiceManager | None = None
    on_demand: bool = False


def target(store: Store, name: str) -> Target:
    """What is declared, what it weighs, and whether its model is here."""
    try:
        deployment = store.load(name)
    except InvalidDocument as e:
        return Target(name, None, problem=str(e))
    if deployment.engine.name == "command":
        return Target(name, deployment, memory_gb=deployment.memory_gb)
    found = weigh.find(deployment, store.home)
    weight = weigh.weigh(deployment, found)
    memory = weight.total_gb if weight else None
    return Target(name, deployment, memory_gb=memory, has_model=found is not None)


def observe(store: Store, names: tuple[str, ...]) -> dict[str, Observed]:
    """The processes as they are now."""
    world = {}
    for name in names:
        if (known := record.read(store.home, name)) is not None:
            wanted = known.desired == "running"
            world[name] = Observed(known.is_alive(), known.config_digest, wanted, known.held)
    return world


def up(
    host: Host, steps: tuple[Step, ...], targets: tuple[Target, ...], options: Options
) -> Generator[Progress, None, tuple[Result, ...]]:
    wanted = {target.name: target for target in targets}
    results = []
    for step in steps:
        yield Progress("step", step.name, step.action, step.reason)
        results.append(_up(host, step, wanted[step.name], options))
    return tuple(results)


def down(
    host: Host, steps: tuple[Step, ...], options: Options
) -> Generator[Progress, None, tuple[Result, ...]]:
    results = []
    for step in steps:
        yield Progress("step", step.name, step.action, step.reason)
        results.append(_down(host, step, options))
    return tuple(results)


def _up(host: Host, step: Step, wanted: Target, options: Options) -> Result:
    known = record.read(host.store.home, step.name)
    deployment = wanted.deployment
    if step.action == "skip" or deployment is None:
        if step.reason == "on_demand" and options.on_demand:
            _offer(host, step.name, known)
        return _skipped(host, step, wanted, known)
    checking.warn(deployment)
    if step.action == "keep" and known is not None:
        return _kept(host, deployment, known, options)
    graceful = None
    try:
        if known is not None and known.owner != "local" and options.manager is not None:
            options.manager.start(step.name, again=step.action == "restart")
            return _owned(step, known)
        if step.action == "restart" and known is not None:
            graceful = local.stop(host, known)
        if known is not None:
            fresh = backoff.cleared(known)
            # What is started by name stays; the gateway unloads only what it started.
            named = step.action == "start"
            record.write(host.store.home, replace(fresh, desired="running") if named else fresh)
        begun = local.start(host, deployment)
        ready = _awaited(host, deployment, begun) if options.wait else begun
    except MlxkError as e:
        return _failed(host, step.name, e, graceful)
    outcome: Outcome = "restarted" if step.action == "restart" else "started"
    phase = "ready" if options.wait else "starting"
    state = "healthy" if options.wait else "down"
    return Result(step.name, outcome, state, phase, ready.pid, ready.port, graceful, None)


def _offer(host: Host, name: str, known: Record | None) -> None:
    """Whoever asks the gateway for it has it started. What was given up stays so."""
    if known is None or known.desired == "stopped":
        record.write(host.store.home, replace(known or Record(name), desired="on_demand"))


def _awaited(host: Host, deployment: Deployment, begun: Record) -> Record:
    """Who interrupts a start does not want the half of it."""
    try:
        return local.wait_ready(host, deployment, begun)
    except KeyboardInterrupt:
        local.stop(host, begun)
        record.forget(host.store.home, begun.name)
        raise


def _kept(host: Host, deployment: Deployment, known: Record, options: Options) -> Result:
    """It runs already; `--wait` still means ready."""
    if known.desired == "stopped":
        known = replace(known, desired="running")
        record.write(host.store.home, known)
    if options.wait and known.ready_at is None and known.owner == "local":
        try:
            known = local.wait_ready(host, deployment, known)
        except MlxkError as e:
            return _failed(host, known.name, e, None)
    is_ready = known.ready_at is not None
    state, phase = ("healthy", "ready") if is_ready else ("down", "starting")
    return Result(known.name, "kept", state, phase, known.pid, known.port, None, None)


def _down(host: Host, step: Step, options: Options) -> Result:
    home = host.store.home
    known = record.read(home, step.name)
    if known is None or step.action == "keep":
        if known is not None:
            _forget(host, known)
        return Result(step.name, "kept", "stopped", "stopped", None, None, None, None)
    try:
        if known.owner != "local" and options.manager is not None:
            options.manager.stop(step.name)
        # Whoever supervises must see first that nobody wants it any more.
        record.write(home, replace(known, desired="stopped", reason="user"))
        graceful = local.stop(host, known)
    except MlxkError as e:
        return _failed(host, step.name, e, None)
    _forget(host, known)
    events.tell(home, "stopped", step.name, reason="user", graceful=graceful)
    return Result(step.name, "stopped", "stopped", "stopped", None, known.port, graceful, None)


def _forget(host: Host, known: Record) -> None:
    """Whose it is stays known as long as it is installed."""
    if known.owner == "local":
        record.forget(host.store.home, known.name)
    else:
        record.write(host.store.home, Record(known.name, owner=known.owner, port=known.port))


def _skipped(host: Host, step: Step, wanted: Target, known: Record | None) -> Result:
    error = _refusal(host, step, wanted)
    is_desired = known is not None and known.desired == "running"
    state = "crashed" if is_desired else "stopped"
    phase = "held" if step.reason == "held" else "stopped"
    outcome: Outcome = "failed" if error else "skipped"
    return Result(step.name, outcome, state, phase, None, None, None, error)


def _refusal(host: Host, step: Step, wanted: Target) -> ErrorInfo | None:
    """Skipped because it cannot be done, not because it was not asked for."""
    name = step.name
    match step.reason:
        case "invalid_document":
            hint = f"mlxk deploy validate {name}"
            return InvalidDocument(wanted.problem or "is not valid", hint=hint).info()
        case "model_missing" if wanted.deployment is not None:
            model = weigh.reference(wanted.deployment, host.store.home)
            message = f"the model {model} of {name} is not on this machine"
            return ModelNotFound(message, hint=f"mlxk pull {model}", reason=step.reason).info()
        case "over_budget":
            message = f"{name} needs {wanted.memory_gb:.1f} GB, more than the budget leaves"
            return OverBudget(message, hint="mlxk down another, or raise budget_gb").info()
        case "held":
            message = f"{name} was given up after too many restarts"
            return StartFailed(message, hint=f"mlxk up {name} --clear", reason="held").info()
    return None


def _owned(step: Step, known: Record) -> Result:
    outcome: Outcome = "restarted" if step.action == "restart" else "started"
    return Result(step.name, outcome, "down", "starting", None, known.port, None, None)


def _failed(host: Host, name: str, error: MlxkError, graceful: bool | None) -> Result:
    known = record.read(host.store.home, name)
    is_desired = known is not None and known.desired == "running"
    state = "crashed" if is_desired else "stopped"
    port = known.port if known else None
    return Result(name, "failed", state, "failed", None, port, graceful, error.info())
