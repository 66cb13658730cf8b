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
    from collections.abc import Callable

    from mlxk.agent.desk import Desk
    from mlxk.agent.desk_tab import Closed


def require_textual() -> None:
    """ExtraMissing."""
    if find_spec("textual") is None:
        raise ExtraMissing(
            "the full screen needs textual",
            hint="pip install 'mlxk[tui]', or: mlxk agent --bare",
        )


def full_screen(
    desk: "Callable[[], Desk]", *, resume: str | None = None, light: bool = False
) -> None:
    """Until the person leaves, or a signal ends it."""
    gc.disable()  # until the first paint, a tenth of whose CPU it would take
    from mlxk.tui.app import Opening, Terminal

    async def run() -> "tuple[Closed, ...]":
        app = Terminal(Opening(desk, resume, light))
        ended: list[int] = []

        def end(number: int) -> None:
            ended.append(number)
            app.exit()

        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, end, number)
        await app.run_async()
        if app.failure is not None:
            raise app.failure
        closed = await app.desk.close() if app.has_begun else ()
        if ended:
            code = 128 + ended[0]
            raise Interrupted("terminated; the work so far is kept", exit_code=code)
        return closed

    _tell(asyncio.run(run()))


def plain(
    desk: "Callable[[], Desk]", *, resume: str | None = None, prompt: str | None = None
) -> None:
    """Lines from standard input."""
    from mlxk.tui.bare import Bare

    async def run() -> "tuple[Closed, ...]":
        made = desk()
        async with made:
            tab = await made.open(resume) if resume else made.new()
            face = Bare(made, tab, Lines(), sys.stdout, asks=sys.stdin.isatty())
            await face.run(prompt)
            return await made.close()

    _tell(asyncio.run(run()))


def _tell(closed: "tuple[Closed, ...]") -> None:
    for tab in closed:
        if tab.branch:
            sys.stdout.write(f"{words.closed(tab)}\n")
