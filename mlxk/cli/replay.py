"""`mlxk agent replay`: a session told again, or run again with its recorded answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlxk.cli.agent import live, summary
from mlxk.cli.registry import command

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mlxk.agent.events import Event
    from mlxk.agent.job import Ended
    from mlxk.agent.report import Report
    from mlxk.history.record import Place
    from mlxk.history.store import Store


@command("replay", summary, live=live)
def replay(
    session: Annotated[str, typer.Argument(help="A session, its branch or a commit of it.")],
    run: Annotated[
        bool,
        typer.Option("--run", help="Run it again: the same answers, real tools, a new branch."),
    ] = False,
) -> "Generator[Event, None, Report]":
    """Show a session once more as events and a report, or run it again with its recorded answers.

    No model is asked. With --run the tools really work, on a branch of their own from the files
    that the session began with; it exits 3 when other files come out.

    mlxk agent replay greet --events

    mlxk agent replay greet --run --json | jq -r .data.result
    """
    from mlxk.agent.retelling import told
    from mlxk.history.record import find
    from mlxk.history.store import Store
    from mlxk.system import paths

    with Store.open(Path.cwd(), paths.home()) as store:
        place = find(store, session)
        if not run:
            return (yield from told(store, place))
        ended = yield from _run(store, place)
    if ended.error is None:
        return ended.report
    ended.error.data = ended.report
    raise ended.error


def _run(store: "Store", place: "Place") -> "Generator[Event, None, Ended]":
    from mlxk.agent.replay import run_again
    from mlxk.cli.drive import drive_task
    from mlxk.system import clock

    async def work(listener: "Callable[[Event], object]") -> "Ended":
        return await run_again(store, place, clock.now(), listener)

    return (yield from drive_task(work))
