"""`mlxk agent` for people: compose the desk that a terminal or a page shows."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlxk.agent.desk import Desk
    from mlxk.agent.job import Bounds


@dataclass(frozen=True, slots=True)
class DeskWanted:
    """One command line, read. `given` are the settings that were named."""

    given: dict[str, Any]
    bounds: "Bounds"
    check: str | None = None
    resume: str | None = None
    clean: bool = False


def make_desk(wanted: DeskWanted) -> "Desk":
    """NotARepository, SessionNotFound."""
    from mlxk.agent import compose
    from mlxk.agent.desk import Desk
    from mlxk.cli import local
    from mlxk.history.store import Store
    from mlxk.system import paths

    with Store.open(Path.cwd(), paths.home()) as store:
        start = compose.start(
            store, dict(wanted.given), resume=wanted.resume, default=lambda: local.named(None)
        )
    return Desk(
        Path.cwd(),
        start.settings,
        bounds=wanted.bounds,
        check=wanted.check,
        clean=wanted.clean,
    )


def has_screen() -> bool:
    """Whether keys and a full screen are there, and nobody wants JSON."""
    from mlxk.cli import words

    if wants_json():
        return False
    return words.is_terminal() and sys.stdout.isatty() and sys.stderr.isatty()


def wants_json() -> bool:
    from mlxk.cli.options import take_options

    return take_options(sys.argv[1:], os.environ)[0].json


def for_people(
    unfit: "Mapping[str, object]", prompt: str | None, more: "Sequence[str] | None", **flags: bool
) -> str | None:
    """The first prompt, if there is one. UsageError for flags of single runs."""
    from mlxk.contract.errors import UsageError

    face = next((f"--{name}" for name, value in flags.items() if value), "the full screen")
    if wrong := [flag for flag, value in unfit.items() if value]:
        raise UsageError(f"{wrong[0]} does not go with {face}", hint='mlxk agent "…"')
    if prompt is None and not more:
        return None
    from mlxk.cli import agent_reading

    return agent_reading.prompt(prompt, more or ())


def open_terminal(
    typed: "Callable[[], DeskWanted]", *, resume: str | None, prompt: str | None, bare: bool
) -> None:
    """The full screen, or plain lines: when asked for, and where the terminal can do no more."""
    from mlxk.tui import start
    from mlxk.tui.face import Opening

    light = os.environ.get("COLORFGBG", "").rpartition(";")[2] in ("7", "15")
    opening = Opening(lambda: make_desk(typed()), resume, lambda: typed().given, light)
    if not _may_be_repository(Path.cwd()):
        opening.desk()  # which says what is wrong
    if bare or os.environ.get("TERM", "dumb") == "dumb":
        start.plain(opening, prompt)
        return
    start.require_textual()
    start.full_screen(opening)


def _may_be_repository(folder: Path) -> bool:
    """Without loading what reads one: the first paint waits for this."""
    above = (folder, *folder.parents)
    return "GIT_DIR" in os.environ or any((place / ".git").exists() for place in above)
