"""`mlxk up`, `down`, `restart` and `status`: make the world equal the documents, and look at it."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from mlxk.cli.registry import command

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mlxk.deploy.apply import Progress, Result
    from mlxk.deploy.local import Host
    from mlxk.deploy.plan import Step, Wish
    from mlxk.deploy.status import Status
    from mlxk.deploy.store import Store

    Doing = Generator[Progress, None, "Done"]

_NAMES = typer.Argument(metavar="[NAME]...", help="Deployments; default: the active stack.")
_TIER = typer.Option(help="The deployment behind this route.")
_ALL = typer.Option("--all", help="Every document.")
_DRY = typer.Option("--dry-run", help="Only show the plan.")
_WAIT = typer.Option(
    "--wait/--no-wait", help="Until they are ready.  [default: the setting auto-health-check]"
)


@dataclass(frozen=True, slots=True)
class Done:
    """`results` is empty with --dry-run; `endpoint` is the gateway's, if one runs."""

    plan: "tuple[Step, ...]"
    results: "tuple[Result, ...]"
    endpoint: str | None


def _done(value: Done, arguments: dict[str, Any]) -> str:
    from mlxk.cli.tables import columns

    if not value.results:
        rows = [(s.name, s.action, s.reason) for s in value.plan]
        return columns(("NAME", "ACTION", "REASON"), rows) if rows else "Nothing to do."
    results = [
        (r.name, r.outcome, r.state, r.port, r.error.message if r.error else "")
        for r in value.results
    ]
    return columns(("NAME", "OUTCOME", "STATE", "PORT", ""), results, right="PORT")


def _live(out: TextIO | None, err: TextIO) -> "Callable[[Progress], None]":
    def show(event: "Progress") -> None:
        if event.action in ("start", "restart", "stop"):
            err.write(f"{event.action} {event.name}\n")
            err.flush()

    return show


def _table(value: "Status", _: dict[str, Any]) -> str:
    from mlxk.cli.tables import columns

    if not value.services:
        return "No deployments. Make some: mlxk init"
    rows = [
        (s.name, s.tier, s.state, s.phase, s.port, s.pid, _age(s.uptime_s), s.restarts,
         f"{s.memory_gb:.1f}" if s.memory_gb is not None else None, s.reason)
        for s in value.services
    ]  # fmt: skip
    header = ("NAME", "TIER", "STATE", "PHASE", "PORT", "PID", "UP", "RESTARTS", "GB", "REASON")
    text = columns(header, rows, right="PORT PID RESTARTS GB")
    front = value.gateway
    return f"{text}\n\ngateway: {front.state} ({front.phase}) at {front.url}" if front else text


@command("up", _done, live=_live)
def up(
    names: Annotated[list[str] | None, _NAMES] = None,
    tier: Annotated[str | None, _TIER] = None,
    all: Annotated[bool, _ALL] = False,
    dry_run: Annotated[bool, _DRY] = False,
    wait: Annotated[bool | None, _WAIT] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Try again what was given up.")] = False,
) -> "Doing":
    """Start what should run and does not; restart what was edited. Doing it twice changes nothing.

    mlxk up

    mlxk up standard --no-wait --events

    mlxk up --dry-run --json | jq -r '.data.plan[] | "\\(.action) \\(.name): \\(.reason)"'
    """
    from mlxk.cli.deploy import open_store
    from mlxk.deploy.plan import Wish

    store = open_store()
    chosen = _chosen(store, names, tier, all=all)
    wish = Wish(named=bool(names or tier), clear=clear, budget_gb=_budget(store, names, tier))
    return (yield from _raise(store, chosen, wish, dry_run=dry_run, wait=wait))


@command("restart", _done, live=_live)
def restart(
    names: Annotated[list[str] | None, _NAMES] = None,
    tier: Annotated[str | None, _TIER] = None,
    all: Annotated[bool, _ALL] = False,
    wait: Annotated[bool | None, _WAIT] = None,
) -> "Doing":
    """Stop and start; done when it is ready again.

    mlxk restart standard
    """
    from mlxk.cli.deploy import open_store
    from mlxk.deploy.plan import Wish

    store = open_store()
    chosen = _chosen(store, names, tier, all=all)
    wish = Wish(named=bool(names or tier), again=True, clear=True)
    return (yield from _raise(store, chosen, wish, dry_run=False, wait=wait))


@command("down", _done, live=_live)
def down(
    names: Annotated[list[str] | None, _NAMES] = None,
    tier: Annotated[str | None, _TIER] = None,
    all: Annotated[bool, _ALL] = False,
    dry_run: Annotated[bool, _DRY] = False,
) -> "Doing":
    """Stop; a server that does not end within ten seconds is killed.

    mlxk down

    mlxk down --all --json | jq '.data.results[] | select(.graceful == false)'
    """
    from mlxk.cli.deploy import open_store
    from mlxk.contract.errors import StartFailed
    from mlxk.deploy import apply, plan, status

    store = open_store()
    chosen = (
        status.known_names(store) if all else _chosen(store, names, tier, all=False, running=True)
    )
    if dry_run:
        return Done(plan.down(chosen, apply.observe(store, chosen)), (), None)
    with _locked(store):
        steps = plan.down(chosen, apply.observe(store, chosen))
        results = yield from apply.down(_host(store), steps, _options(store, steps))
    done = Done(steps, results, None)
    if failed := [r.name for r in results if r.outcome == "failed"]:
        raise StartFailed(f"could not stop {', '.join(failed)}", data=done)
    return done


@command("status", _table)
def status(
    names: Annotated[list[str] | None, _NAMES] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 3 unless all that should run are healthy.")
    ] = False,
) -> "Status":
    """Show every deployment: process, answer, memory, restarts. Writes nothing at all.

    mlxk status

    mlxk status --exit-code --json | jq .data.summary
    """
    import time

    from mlxk.cli.deploy import open_store
    from mlxk.contract.errors import CheckFailed
    from mlxk.deploy import status as looking

    store = open_store()
    for name in names or ():
        looking.require(store, name)
    chosen = tuple(names) if names else looking.known_names(store)
    value = looking.status(store, chosen, os.environ, time.time())
    states = {s.name: s.state for s in value.services if s.desired == "running" or names}
    if value.gateway and value.gateway.desired == "running":
        states["gateway"] = value.gateway.state
    bad = [name for name, state in states.items() if state not in ("healthy", "degraded")]
    if exit_code and (bad or not states):
        message = f"not healthy: {', '.join(bad)}" if bad else "nothing runs"
        raise CheckFailed(message, hint="mlxk up", data=value)
    return value


def _raise(
    store: "Store", names: tuple[str, ...], wish: "Wish", *, dry_run: bool, wait: bool | None
) -> "Doing":
    from mlxk.contract.errors import StartFailed
    from mlxk.deploy import apply, gateway, plan

    targets = tuple(apply.target(store, name) for name in names)
    if dry_run:
        return Done(plan.up(targets, apply.observe(store, names), wish), (), None)
    with _locked(store):
        steps = plan.up(targets, apply.observe(store, names), wish)
        waits = bool(store.settings().get("auto-health-check")) if wait is None else wait
        offered = gateway.is_there(store, store.active())
        options = _options(store, steps, wait=waits, on_demand=offered)
        results = yield from apply.up(_host(store), steps, targets, options)
    gateway.converge(store.home)
    done = Done(steps, results, gateway.endpoint(store))
    if failed := [r for r in results if r.outcome == "failed"]:
        first = failed[0].error
        text = f"{len(failed)} of {len(results)} are not up: "
        text += first.message if first else failed[0].name
        hint = first.hint if first else None
        raise StartFailed(text, hint=hint, data=done, failed=[r.name for r in failed])
    return done


def _host(store: "Store") -> "Host":
    from mlxk.deploy.local import Host

    return Host(store, os.environ)


def _options(
    store: "Store", steps: "tuple[Step, ...]", *, wait: bool = True, on_demand: bool = False
) -> Any:
    """A service manager is asked only for what it owns."""
    from mlxk.deploy import managers, record
    from mlxk.deploy.apply import Options

    found = (record.read(store.home, step.name) for step in steps)
    owners = {known.owner for known in found if known is not None} - {"local"}
    manager = managers.manager(owners.pop(), os.environ) if owners else None
    return Options(wait, manager, on_demand)


def _locked(store: "Store") -> Any:
    from mlxk.system.files import locked_within

    return locked_within(store.lock, 1.0)


def _chosen(
    store: "Store",
    names: list[str] | None,
    tier: str | None,
    *,
    all: bool,
    running: bool = False,
) -> tuple[str, ...]:
    """`running`: the gateway that is not declared any more counts, too."""
    from mlxk.contract.errors import NotFound
    from mlxk.deploy import gateway
    from mlxk.deploy import status as looking
    from mlxk.deploy.document import GATEWAY

    if names:
        for name in names:
            looking.require(store, name)
        return tuple(dict.fromkeys(names))
    stack = store.active()
    front = (GATEWAY,) if gateway.is_there(store, stack, running=running) else ()
    if all:
        return (*store.names(), *front)
    if stack is None:
        raise NotFound("no stack is active", hint="mlxk init, or name a deployment, or --all")
    if tier is None:
        return (*stack.deployments, *front)
    found = stack.route(tier)
    if found is None:
        known = ", ".join(route for route, _ in stack.routes)
        raise NotFound(f"the stack has no route {tier!r}", hint=f"one of {known}", tier=tier)
    return (found,)


def _budget(store: "Store", names: list[str] | None, tier: str | None) -> float | None:
    """The stack's budget counts for the stack; what is named is meant."""
    stack = None if names or tier else store.active()
    return stack.budget_gb if stack else None


def _age(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"
