"""Text of others on a terminal: it is shown, it does not steer. Knows no widgets."""

import re
from typing import TextIO

# Sequences that steer a terminal, other control characters, and those that turn the direction of
# what follows: what a model or a tool writes must not paint over the rest.
_STEERING = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b."
    r"|\r(?=\n)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


def plain(text: str) -> str:
    return _STEERING.sub("", text)


def shown(text: str, out: TextIO) -> str:
    """Plain on a terminal; a file or a pipe gets it as it is."""
    return plain(text) if out.isatty() else text
