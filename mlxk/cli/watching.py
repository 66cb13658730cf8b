"""`mlxk watch` and `mlxk logs`: supervise, wait, and read what servers write."""

import os
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from mlxk.cli.registry import command

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mlxk.deploy.logs import Line, LogFile
    from mlxk.deploy.status import Service
    from mlxk.deploy.store import Store
    from mlxk.deploy.supervise import Event


@dataclass(frozen=True, slots=True)
class Watched:
    """`services` as they were last seen; `polls` is how often was looked."""

    polls: int
    services: "tuple[Service, ...]"


@dataclass(frozen=True, slots=True)
class Logged:
    """`files` without a name, else `lines`; `truncated`: earlier ones were left out."""

    files: "tuple[LogFile, ...] | None"
    lines: "tuple[Line, ...] | None"
    truncated: bool


def _watched(value: Watched, _: dict[str, Any]) -> str:
    return "\n".join(f"{s.name}: {s.state} ({s.phase})" for s in value.services)


def _event(out: TextIO | None, err: TextIO) -> "Callable[[Event], None]":
    def show(event: "Event") -> None:
        err.write(f"{event.name}: {event.type}{f' ({event.reason})' if event.reason else ''}\n")
        err.flush()

    return show


def _logged(value: Logged, _: dict[str, Any]) -> str:
    from mlxk.cli.tables import columns, size

    if value.files is not None:
        rows = [(f.name, size(f.size_bytes), len(f.archives)) for f in value.files]
        header = ("NAME", "SIZE", "ARCHIVES")
        return columns(header, rows, right="SIZE ARCHIVES") if rows else "No logs yet."
    return "\n".join(line.text for line in value.lines or ())


def _line(out: TextIO | None, err: TextIO) -> "Callable[[Line], None]":
    from mlxk.system.terminal import shown

    to = out or err

    def show(line: "Line") -> None:
        to.write(shown(line.text, to) + "\n")
        to.flush()

    return show


@command("watch", _watched, live=_event)
def watch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only look, until `ready` or `stopped`; changes nothing.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds for --until.")] = 120.0,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between looks.")] = 5.0,
) -> "Generator[Event, None, Watched]":
    """Keep what should run running: start again what died or hangs, until it is stopped itself.

    mlxk watch --events

    mlxk watch standard --until ready --timeout 60
    """
    import time

    from mlxk.cli.deploy import open_store
    from mlxk.contract.errors import InvalidValue
    from mlxk.deploy import status, supervise
    from mlxk.deploy.local import Host

    if not (isfinite(timeout) and isfinite(interval)):
        raise InvalidValue("--timeout and --interval are seconds", hint="mlxk watch --help")
    store = open_store()
    for name in names or ():
        status.require(store, name)
    if until is not None:
        return _observe(store, names, until, timeout, interval)
    chosen = tuple(names) if names else None
    supervisor = supervise.Supervisor(Host(store, os.environ), chosen)
    polls = 0
    with _only(store):
        try:
            while True:
                yield from supervisor.poll()
                polls += 1
                time.sleep(interval)
        except KeyboardInterrupt:
            # How a supervisor ends in good order: what it started goes on.
            return Watched(polls, ())


@command("logs", _logged, live=_line)
def logs(
    name: Annotated[str | None, typer.Argument(help="A deployment, or `events`.")] = None,
    tail: Annotated[int, typer.Option(min=1, help="The last so many lines.")] = 200,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines.")] = False,
    all: Annotated[bool, typer.Option("--all", help="Everything, archives included.")] = False,
    rotate: Annotated[bool, typer.Option("--rotate", help="Archive the log now.")] = False,
    since: Annotated[str | None, typer.Option(help="Not before: 10m, 2h, or a time.")] = None,
) -> "Generator[Line, None, Logged]":
    """Show what a deployment wrote; without a name, which logs there are.

    mlxk logs standard --tail 50 --follow

    mlxk logs events --since 1h --json | jq -r '.data.lines[].text'
    """
    import time

    from mlxk.cli.deploy import open_store
    from mlxk.deploy import follow as following
    from mlxk.deploy import logs as reading

    store = open_store()
    if name is None:
        return Logged(reading.listing(store.home), None, truncated=False)
    store.path(name)
    if rotate:
        _rotate(store, name)
        return Logged(reading.listing(store.home), None, truncated=False)
    moment = reading.moment(since, time.time()) if since else None
    count, path = 0 if all else tail, reading.path_of(store.home, name)
    with reading.steady(path):
        place = following.end(path) if follow else None
        end = place.offset if place else None
        lines, truncated = reading.lines(
            store.home, name, tail=count, since=moment, whole=all, end=end
        )
    if place is not None:
        yield from lines
        yield from following.follow(store.home, name, place)
    return Logged(None, lines, truncated)


def _only(store: "Store") -> Any:
    from mlxk.system.files import locked

    return locked(store.home / "watch.lock")


def _rotate(store: "Store", name: str) -> None:
    from mlxk.contract.errors import NotFound
    from mlxk.deploy import logs as reading
    from mlxk.deploy import record

    if not reading.path_of(store.home, name).exists():
        raise NotFound(f"{name} has no log", hint="mlxk logs", name=name)
    keep = store.settings().count("log-max-files")
    reading.rotate(store.home, name, keep, record.read(store.home, name))


def _observe(
    store: "Store", names: list[str] | None, until: str, timeout: float, interval: float
) -> Watched:
    import time

    from mlxk.contract.errors import CheckFailed, InvalidValue
    from mlxk.deploy import status

    wanted = {"ready": ("healthy", "degraded"), "stopped": ("stopped",)}.get(until)
    if wanted is None:
        raise InvalidValue(f"cannot wait until {until!r}", hint="ready or stopped")
    chosen = tuple(names) if names else status.known_names(store)
    end = time.monotonic() + timeout
    polls = 0
    while True:
        now = status.status(store, chosen, os.environ, time.time())
        seen = now.services
        polls += 1
        states = {s.name: s.state for s in seen}
        if now.gateway and now.gateway.name in chosen:
            states[now.gateway.name] = now.gateway.state
        late = [name for name, state in states.items() if state not in wanted]
        if states and not late:
            return Watched(polls, seen)
        if time.monotonic() >= end:
            message = f"not {until} within {timeout:g} s: {', '.join(late) or 'nothing'}"
            raise CheckFailed(message, hint="mlxk status", data=Watched(polls, seen))
        time.sleep(min(interval, 1.0, max(0.0, end - time.monotonic())))
