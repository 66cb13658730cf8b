"""The line of tabs above and the line of facts below."""

from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

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


def tabs(found: "Sequence[Status]", here: int, width: int) -> Content:
    """`1 ● greet  2 ○ new`, each to be clicked; from the shown one on when not all fit."""
    drawn = [_tab(number, status, status.tab == here) for number, status in enumerate(found, 1)]
    shown = next((n for n, status in enumerate(found) if status.tab == here), 0)
    first = 0
    while first < shown and sum(len(c.plain) + 1 for c in drawn[first : shown + 1]) > width:
        first += 1
    return Content(" ").join(drawn[first:])


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


def _tab(number: int, status: "Status", here: bool) -> Content:
    mark, colour = _MARKS[status.state]
    name = words.one_line(status.name, _LONGEST)
    style = "bold $foreground on $panel" if here else words.MUTED
    text = Content.assemble((f" {number} ", style), (mark, colour), (f" {name} ", style))
    return text.stylize(f"@click=app.tab({number})")
