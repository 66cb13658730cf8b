"""Long texts and changes over the whole screen, and a question that wants an answer."""

from typing import TYPE_CHECKING, ClassVar

from rich.cells import set_cell_size
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from mlxk.tui import sides, words

if TYPE_CHECKING:
    from mlxk.agent.desk_look import Changes

_MOST = 200_000
_MOST_ROWS = 3_000
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
        for number, row in enumerate(sides.rows(self._changes.patch)):
            if number >= _MOST_ROWS:
                lines.append(Content("… there is more: mlxk branch diff"))
                break
            lines.extend(_drawn(row, half))
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


def _drawn(row: sides.Row, half: int) -> list[Content]:
    if row.kind == "file":
        return [Content(""), Content.styled(words.plain(row.title), "bold $primary")]
    if row.kind == "hunk":
        return [Content.styled(f"⋯ {words.plain(row.title)}", words.MUTED)]
    is_change = row.kind == "changed"
    if half:
        left = _side(row.old, half, "$error" if is_change else "")
        right = _side(row.new, half, "$success" if is_change else "")
        return [Content.assemble(left, (" │ ", "$panel"), right)]
    if not is_change:
        return [Content(f"  {words.plain(row.new.text)}")] if row.new else []
    gone = [Content.styled(f"- {words.plain(row.old.text)}", "$text-error")] if row.old else []
    come = [Content.styled(f"+ {words.plain(row.new.text)}", "$text-success")] if row.new else []
    return gone + come


def _side(side: sides.Side | None, width: int, colour: str) -> Content:
    """One column: a number and as much of the line as fits."""
    if side is None:
        return Content(" " * width)
    text = set_cell_size(words.plain(side.text), max(0, width - 6))
    style = f"on {colour} 18%" if colour else ""
    return Content.assemble((f"{side.number:4}  ", words.MUTED), (text, style))
