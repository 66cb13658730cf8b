"""Long texts and changes over the whole screen, and a question that wants an answer."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from rich.cells import set_cell_size
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from mlxk.tui import words

if TYPE_CHECKING:
    from mlxk.agent.desk_look import Changes
    from mlxk.history.sides import FileSides, Row

_MOST = 200_000
_NARROW = 70  # columns; below, old and new do not fit side by side


class Pager(ModalScreen[None]):
    """Escape, q or Enter closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,enter,ctrl+c,ctrl+d", "dismiss", "Close"),
        ("j,down", "scroll('scroll_down')", "Down"),
        ("k,up", "scroll('scroll_up')", "Up"),
        ("space,pagedown", "scroll('scroll_page_down')", "Page down"),
        ("b,pageup", "scroll('scroll_page_up')", "Page up"),
        ("g,home", "scroll('scroll_home')", "Top"),
        ("G,end", "scroll('scroll_end')", "End"),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        yield Static(Content(words.plain(self._title)), classes="title")
        with VerticalScroll(can_focus=False):
            yield Static(classes="text")
        yield Static("↑ ↓ PgUp PgDn scroll   Esc closes", classes="foot", markup=False)

    def on_resize(self, event: events.Resize) -> None:
        self.query_one(".text", Static).update(self.content(event.size.width))

    def content(self, width: int) -> Content:
        text = words.plain(self._text[:_MOST])
        more = len(self._text) - _MOST
        return Content(text + (f"\n… {more} more characters: /export" if more > 0 else ""))

    def action_scroll(self, how: str) -> None:
        getattr(self.query_one(VerticalScroll), how)(animate=False)


class DiffPager(Pager):
    """Old and new side by side; on a narrow terminal one under the other."""

    def __init__(self, title: str, changes: "Changes") -> None:
        super().__init__(title, "")
        self._changes = changes

    def content(self, width: int) -> Content:
        files = [
            Content.assemble(
                f"{f.path}  ",
                (f"+{f.additions} ", "$text-success"),
                (f"-{f.deletions}", "$text-error"),
            )
            for f in self._changes.files
        ]
        lines: list[Content] = [*files]
        half = (width - 3) // 2 if width >= _NARROW else 0
        for file in self._changes.sides:
            lines.extend(_file(file, half))
        return Content("\n").join(lines)


class Confirm(ModalScreen[bool]):
    """A yes or no; Escape is no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("y,enter", "dismiss(True)", "Yes"),
        ("n,escape,q,ctrl+c,ctrl+d", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        keys = "[@click=screen.dismiss(True)]y  yes[/]     [@click=screen.dismiss(False)]n  no[/]"
        yield Static(Content(words.plain(self._question) + "\n\n") + Content.from_markup(keys))


def _file(file: "FileSides", half: int) -> Iterator[Content]:
    status = "" if file.change.status == "modified" else f"  {file.change.status}"
    path = Content.styled(words.plain(file.change.path), "bold $primary")
    yield Content("")
    yield Content.assemble(path, (status.replace("_", " "), words.MUTED))
    if file.change.binary:
        yield Content.styled("a binary file", words.MUTED)
    for hunk in file.hunks:
        yield Content.styled("⋯", words.MUTED)
        for row in hunk:
            yield from _drawn(row, half)
    if file.cut:
        yield Content("… there is more: mlxk branch diff")


def _drawn(row: "Row", half: int) -> list[Content]:
    old, new, is_change = words.plain(row.old), words.plain(row.new), row.kind != "same"
    if half:
        left = _side(row.old_line, old, half, "$error" if is_change else "")
        right = _side(row.new_line, new, half, "$success" if is_change else "")
        return [Content.assemble(left, (" │ ", "$panel"), right)]
    if not is_change:
        return [Content(f"  {new}")]
    gone = [] if row.old_line is None else [Content.styled(f"- {old}", "$text-error")]
    come = [] if row.new_line is None else [Content.styled(f"+ {new}", "$text-success")]
    return gone + come


def _side(number: int | None, text: str, width: int, colour: str) -> Content:
    """One column: a number and as much of the line as fits."""
    if number is None:
        return Content(" " * width)
    fitting = set_cell_size(text, max(0, width - 6))
    style = f"on {colour} 18%" if colour else ""
    return Content.assemble((f"{number:4}  ", words.MUTED), (fitting, style))
