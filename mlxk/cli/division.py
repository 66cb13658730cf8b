"""Options of every command that may divide a model among several processes."""

from pathlib import Path
from typing import Annotated

import typer

Ranks = Annotated[
    int | None, typer.Option(min=1, help="Divide each model among so many processes.")
]
Hostfile = Annotated[
    Path | None, typer.Option(help="The machines to divide it among, as mlx.launch wants them.")
]
Backend = Annotated[
    str | None, typer.Option(help="How ranks speak: ring, jaccl, jaccl-ring or nccl.")
]
