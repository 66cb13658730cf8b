"""Open a face on this terminal, and say at the end where the work is."""

import asyncio
import gc
import signal
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mlxk.contract.errors import ExtraMissing, Interrupted
from mlxk.system.lines import Lines
from mlxk.tui import words

if TYPE_CHECKING:
    from mlxk.agent.desk_tab import Closed
    from mlxk.tui.face import Opening


def require_textual() -> None:
    """ExtraMissing."""
    if find_spec("textual") is None:
        raise ExtraMissing(
            "the full screen needs textual",
            hint="pip install 'mlxk[tui]', or: mlxk agent --bare",
        )


def full_screen(opening: "Opening") -> None:
    """Until the person leaves, or a signal ends it."""
    gc.disable()  # until the first paint, a tenth of whose CPU it would take
    from mlxk.tui.app import Terminal

    async def run() -> "tuple[Closed, ...]":
        app = Terminal(opening)
        ended: list[int] = []

        def end(number: int) -> None:
            ended.append(number)
            app.exit()

        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, end, number)
        try:
            await app.run_async()
        finally:
            closed = await app.desk.close() if app.has_begun else ()
        if app.failure is not None:
            raise app.failure
        if ended:
            code = 128 + ended[0]
            raise Interrupted("terminated; the work so far is kept", exit_code=code)
        return closed

    _tell(asyncio.run(run()))


def plain(opening: "Opening", prompt: str | None = None) -> None:
    """Lines from standard input."""
    from mlxk.tui.bare import Bare

    async def run() -> "tuple[Closed, ...]":
        async with opening.desk() as desk:
            resume = opening.resume
            tab = await desk.open(resume, **opening.given()) if resume else desk.new()
            face = Bare(desk, tab, Lines(), sys.stdout, asks=sys.stdin.isatty())
            await face.run(prompt)
            return await desk.close()

    _tell(asyncio.run(run()))


def _tell(closed: "tuple[Closed, ...]") -> None:
    for tab in closed:
        if tab.branch:
            sys.stdout.write(f"{words.closed(tab)}\n")
