"""`mlxk agent --web` and `branch show --web`: pages, and the browser to look at them."""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlxk.cli.face import DeskWanted, make_desk
from mlxk.cli.registry import Ongoing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from mlxk.history.record import Place
    from mlxk.history.store import Store

_PAGES = 50


@dataclass(frozen=True, slots=True)
class WebPage:
    """`link` lets one browser in, once; after that `url` is enough for it."""

    url: str
    link: str
    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """One command line, read."""

    desk: DeskWanted
    port: str
    prompt: str | None = None
    browser: bool = True


def page(wanted: Wanted) -> Ongoing:
    """Printed once, when the page can be opened."""
    from mlxk.cli.drive import drive
    from mlxk.cli.listen import port_number

    service = drive(_service(wanted, port_number(wanted.port)))
    return Ongoing(next(service), service)


def greeting(value: WebPage) -> str:
    return f"Open {value.link}\nIt works once, in one browser. Ctrl-C ends it; all work is kept."


def write_page(store: "Store", place: "Place") -> str:
    """A session as a file, which a browser shows if there is one; its path."""
    import webbrowser

    from mlxk.system import paths
    from mlxk.system.files import write_atomic
    from mlxk.web.rendered import rendered

    file = paths.home() / "pages" / store.key / f"{place.record.name}-{place.step}.html"
    write_atomic(file, rendered(store, place), durable=False)
    _forget_old(paths.home() / "pages")
    if _has_screen():
        webbrowser.open(file.as_uri())
    return str(file)


def _forget_old(folder: Path) -> None:
    """A page can be written again at any time: only the newest are kept."""
    ages = dict[Path, float]()
    for page in folder.glob("*/*.html"):
        with suppress(FileNotFoundError):  # another process forgot it
            ages[page] = page.stat().st_mtime
    for page in sorted(ages, key=ages.__getitem__)[:-_PAGES]:
        page.unlink(missing_ok=True)


async def _service(wanted: Wanted, port: int) -> "AsyncGenerator[WebPage, None]":
    """Yields once, when it listens; then serves until it is cancelled."""
    import asyncio

    from mlxk.hub import names
    from mlxk.web.app import listening, make_app

    desk = make_desk(wanted.desk)
    if desk.settings.api == "local":
        names.resolve(desk.settings.model)  # a wrong name is said here, not on the page
    async with desk:
        resume, given = wanted.desk.resume, wanted.desk.given
        first = await desk.open(resume, **given) if resume else None
        if wanted.prompt is not None:
            first = first or desk.new()
            first.submit(wanted.prompt)
        desk.models.open(desk.settings)
        app = make_app(desk, first=first.id if first else None)
        async with listening(app, port) as address:
            yield WebPage(address.url, address.link, address.port, os.getpid())
            with suppress(asyncio.CancelledError):
                await _opened(address.link, wanted)
                await asyncio.Event().wait()


async def _opened(link: str, wanted: Wanted) -> None:
    """A file that only the user can read leads the browser in: others see our command lines."""
    import asyncio
    import webbrowser

    from mlxk.system import paths
    from mlxk.system.files import write_atomic

    if not wanted.browser or not _has_screen():
        return
    way = paths.home() / "web" / f"open-{os.getpid()}.html"
    page = f'<!doctype html><meta http-equiv="refresh" content="0; url={link}">'
    write_atomic(way, page.encode(), mode=0o600)
    try:
        await asyncio.to_thread(webbrowser.open, way.as_uri())
        await asyncio.sleep(60)
    finally:
        way.unlink(missing_ok=True)


def _has_screen() -> bool:
    """A person at a terminal, on a machine with a screen of its own."""
    if not sys.stdout.isatty() or "SSH_CONNECTION" in os.environ:
        return False
    shown = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform == "darwin" or any(name in os.environ for name in shown)
