"""Words from outside: the command line and standard input, as text that every layer can take."""

import sys

from mlxk.contract.errors import UsageError


def standard_input() -> str:
    """All of it. UsageError when there is none, because it is closed."""
    if sys.stdin is None:
        raise UsageError("standard input is closed: give the words on the command line")
    return sys.stdin.buffer.read().decode(errors="replace")


def is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
