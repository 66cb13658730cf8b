"""The line of tabs above and the line of facts below."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widgets import Static

from mlxk.tui import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlxk.agent.desk_tab import Status

_MARKS = {
    "idle": ("○", words.MUTED),
    "running": ("●", "$warning"),
    "asking": ("?", "bold $accent"),
    "interrupted": ("◐", "$warning"),
    "failed": ("✗", "$error"),
    "closed": ("○", words.MUTED),
}
_LONGEST = 24
_HELP = "F1 help"


class TabBar(Static):
    """`1 ○ greet  2 ● other`; a click shows that tab."""

    @dataclass
    class Chosen(Message):
        number: int

    def __init__(self) -> None:
        super().__init__(id="tabs")
        self._ends: list[tuple[int, int]] = []  # (column where its label ends, number)

    def show(self, found: "Sequence[Status]", here: int, width: int) -> None:
        """From the shown tab on, when not all fit."""
        labels = [_label(n, status, status.tab == here) for n, status in enumerate(found, 1)]
        shown = next((n for n, status in enumerate(found) if status.tab == here), 0)
        first = 0
        while first < shown and sum(c.cell_length for c in labels[first : shown + 1]) > width:
            first += 1
        self._ends, end = [], 0
        for number, label in enumerate(labels[first:], first + 1):
            end += label.cell_length
            self._ends.append((end, number))
        self.update(Content("").join(labels[first:]))

    def on_click(self, event: Click) -> None:
        column = event.x - self.styles.padding.left
        number = next((number for end, number in self._ends if column < end), None)
        if number is not None:
            self.post_message(self.Chosen(number))


def status(value: "Status", width: int) -> Content:
    """As many pieces as fit, the state always."""
    mark, colour = _MARKS[value.state]
    pieces = words.status(value)
    line = Content.assemble((f"{mark} {pieces[0]}", colour))
    for piece in pieces[1:]:
        if line.cell_length + cell_len(piece) + 3 > width:
            break
        style = "$foreground" if piece == pieces[1] else words.MUTED
        line = Content.assemble(line, (" · ", words.MUTED), (piece, style))
    if (gap := width - line.cell_length - len(_HELP)) > 1:
        line = Content.assemble(line, " " * gap, (_HELP, words.MUTED))
    return line


def _label(number: int, status: "Status", here: bool) -> Content:
    mark, colour = _MARKS[status.state]
    ground = " on $panel" if here else ""
    style = f"bold $foreground{ground}" if here else words.MUTED
    name = words.both_ends(status.name, _LONGEST)
    return Content.assemble(
        (f" {number} ", style), (mark, f"{colour}{ground}"), (f" {name} ", style), " "
    )
