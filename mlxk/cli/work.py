"""Carry out an agent's order: one job, or several futures from one point."""

import asyncio
import shlex
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlxk.agent import compose, landing, rehearsal
from mlxk.agent.compose import Start
from mlxk.agent.events import Event
from mlxk.agent.job import Bounds, Ended, Job, Order
from mlxk.agent.leash.recipe import Leash
from mlxk.agent.logbook import logbook
from mlxk.agent.rehearsal import Rehearsal
from mlxk.agent.report import Future, Landed
from mlxk.agent.scribe import Scribe, regardless
from mlxk.agent.settings import Settings
from mlxk.agent.sizes import require_room
from mlxk.chat.model import ChatModel
from mlxk.cli import local, words
from mlxk.cli.answers import answers
from mlxk.cli.drive import drive_task
from mlxk.cli.main import Terminated
from mlxk.contract import notes
from mlxk.contract.errors import DirtyMerge, Interrupted, MlxkError
from mlxk.history import own
from mlxk.history.record import find
from mlxk.history.session import Session
from mlxk.history.store import Store
from mlxk.system import clock, paths

Listener = Callable[[Event], object]
HandOver = Callable[[Ended], None]
_SHORT = 4_000  # characters that are not worth counting: they fit


@dataclass(frozen=True, slots=True)
class Task:
    """One command line, read. `given` are the settings that were named."""

    order: Order
    given: dict[str, Any]
    bounds: Bounds
    resume: str | None = None
    branch: str | None = None
    clean: bool = False
    futures: int = 1
    input_format: str | None = None
    land: bool = False
    stream: Path | None = None
    leash: Leash | None = None


def carry_out(task: Task) -> Generator[Event, None, Ended]:
    """Yield the events; return how it ended. Ctrl-C and SIGTERM keep the work and say so."""
    ended: list[Ended] = []

    async def work(listener: Listener) -> None:
        with _logged(task, listener) as listen:
            await _work(task, listen, ended.append)

    try:
        yield from drive_task(work)
    except KeyboardInterrupt as e:
        code = 143 if isinstance(e, Terminated) else 130
        data = ended[0].report if ended else None
        message = "interrupted; the work so far is kept" if ended else "interrupted"
        hint = data.resume if data else None
        raise Interrupted(message, hint=hint, data=data, exit_code=code) from None
    return ended[0]


@contextmanager
def _logged(task: Task, listener: Listener) -> Iterator[Listener]:
    """What is told to the listener is told to the log, too, when there is to be one."""
    if task.stream is None:
        yield listener
        return
    with logbook(task.stream, task.order.prompt) as log:

        def tell(event: Event) -> None:
            log(event)
            listener(event)

        yield tell


async def _work(task: Task, listener: Listener, hand_over: HandOver) -> None:
    with Store.open(Path.cwd(), paths.home()) as store:
        if task.land:
            landing.ready(store)
        start = _start(task, store)
        with Scribe(store) as scribe:
            await _worked(task, start, scribe, listener, hand_over)


async def _worked(
    task: Task, start: Start, scribe: Scribe, listener: Listener, hand_over: HandOver
) -> None:
    """The end is handed over before model and sessions close: whoever is cancelled then has it."""
    asked = _asking(start.settings, task.input_format)
    async with compose.chat_model(start.settings) as model, answers(asked) as answer:
        bounds = replace(task.bounds, answer=answer)
        await _require_room(task, start, scribe, model.chat)
        # The engine loads in its own process while the worktrees are made.
        async with AsyncExitStack() as held:
            sessions = await _sessions(task, scribe, start, held)
            jobs = [
                Job(
                    session,
                    scribe,
                    model.chat,
                    settings,
                    bounds=bounds,
                    load_s=model.load_s,
                    leash=task.leash,
                )
                for session, settings in sessions
            ]
            every = await _together([job.run(task.order, listener) for job in jobs])
            best = _chosen(every)
            whole = all(end.report.stop_reason != "interrupted" for end in every)
            lands = task.land and whole and not best.error
            hand_over(await regardless(_landed(scribe, best)) if lands else best)


async def _require_room(task: Task, start: Start, scribe: Scribe, model: ChatModel) -> None:
    """Of a prompt that can never be read no session remains."""
    if task.leash is None and len(task.order.prompt) > _SHORT:
        prompt, clean = task.order.prompt, task.clean
        first = await scribe.do(lambda s: rehearsal.request(s, start, prompt, clean=clean))
        await require_room(model, first)


def make_store(task: Task) -> None:
    """From now on every command in this folder finds the store. Wrong flags make none."""
    here, home = Path.cwd(), paths.home()
    if own.find(here, home) is None:
        with notes.collecting():
            begun = rehearse(task, no_git=True)
        if begun.api != "local":
            from mlxk.providers.endpoints import endpoint

            endpoint(begun.api, task.given.get("url"))
    Store.without_git(here, home).close()


def rehearse(task: Task, *, no_git: bool) -> Rehearsal:
    """What the task would begin with. Starts nothing, leaves nothing."""
    here, home = Path.cwd(), paths.home()
    if task.branch is not None:
        compose.checked(task.branch)
    with TemporaryDirectory(prefix="mlxk-") as scratch:
        made = Path(scratch)
        opened = Store.without_git(here, home, made) if no_git else Store.open(here, home)
        with opened as store:
            start = _start(task, store)
            return rehearsal.rehearse(store, start, task.order.prompt, clean=task.clean)


def _start(task: Task, store: Store) -> Start:
    return compose.start(store, task.given, resume=task.resume, default=lambda: local.named(None))


def _asking(settings: Settings, input_format: str | None) -> str | None:
    """Where answers come from, when anything may be asked."""
    if input_format or settings.permissions.mode != "ask":
        return input_format
    return "terminal" if words.is_terminal() else None


async def _together(runs: list[Coroutine[Any, Any, Ended]]) -> list[Ended]:
    """All of them to their ends. A cancelled job returns what it has; gather would lose it."""
    tasks = [asyncio.create_task(run) for run in runs]
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return [task.result() for task in tasks]


async def _landed(scribe: Scribe, ended: Ended) -> Ended:
    """The work on the user's own branch; a conflict is the run's failure, the branch is kept."""
    session, name = ended.report.session, ended.report.branch.removeprefix("mlxk/")
    try:
        landed = await scribe.do(lambda s: landing.bring(s, find(s, session), clock.now()))
    except MlxkError as e:
        again = f"mlxk branch land {shlex.quote(name)}"
        e.hint = f"commit them, then {again}" if isinstance(e, DirtyMerge) else e.hint or again
        return Ended(ended.report, e)
    undo = landed.undo(name)
    where = Landed(landed.branch, landed.commit, undo)
    return Ended(replace(ended.report, landed=where), None)


async def _sessions(
    task: Task, scribe: Scribe, start: Start, held: AsyncExitStack
) -> list[tuple[Session, Settings]]:
    """The session of the task, and forks of its first step for the other futures."""

    def begin(store: Store) -> Session:
        return compose.session(store, start, task.order.prompt, name=task.branch, clean=task.clean)

    def fork(store: Store) -> Session:
        place, name = find(store, first.id), f"{first.name}-{len(sessions) + 1}"
        return compose.fork(store, place, settings, name, clock.now())

    first = await held.enter_async_context(scribe.holding(begin))
    if task.futures == 1:
        return [(first, start.settings)]
    sessions = [(first, start.settings.varied(0))]
    for number in range(1, task.futures):
        settings = start.settings.varied(number)
        sessions.append((await held.enter_async_context(scribe.holding(fork)), settings))
    return sessions


def _chosen(ended: list[Ended]) -> Ended:
    """The best of several: passed the check, ended well, the smallest diff, the first."""
    if len(ended) == 1:
        return ended[0]
    best = min(range(len(ended)), key=lambda n: (*_rank(ended[n]), n))
    futures = tuple(_future(end, winner=n == best) for n, end in enumerate(ended))
    return Ended(replace(ended[best].report, futures=futures), ended[best].error)


def _rank(ended: Ended) -> tuple[bool, bool, int]:
    report = ended.report
    passed = report.check is not None and report.check.passed
    changed = sum(f.additions + f.deletions for f in report.files_changed)
    return (not passed, ended.error is not None, changed)


def _future(ended: Ended, *, winner: bool) -> Future:
    report = ended.report
    return Future(
        session=report.session,
        branch=report.branch,
        head=report.head,
        stop_reason=report.stop_reason,
        passed=report.check.passed if report.check else None,
        additions=sum(f.additions for f in report.files_changed),
        deletions=sum(f.deletions for f in report.files_changed),
        winner=winner,
    )
