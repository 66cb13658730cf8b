"""The option of every command that may guess tokens ahead."""

from typing import Annotated

import typer

_HELP = "Guess ahead while one answer is made alone: by what was said, or by a small model."
_FORM = "MODEL|lookup|off|auto"

Draft = Annotated[str, typer.Option(metavar=_FORM, help=_HELP)]
Chosen = Annotated[str | None, typer.Option(metavar=_FORM, help=_HELP, show_default="off")]
