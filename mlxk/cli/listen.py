"""What every command that listens reads from its line: a port, a key, a place for its log."""

import os
import select
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mlxk.contract.errors import InvalidValue, NotFound, UsageError
from mlxk.system.files import translated

# Reading and writing by anybody, writing by the group: a container's secrets are often its group's.
_FOREIGN = 0o026
_LONGEST_KEY = 4096


def port_number(text: str) -> int:
    if text == "auto":
        return 0
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise UsageError(f"{text!r} is no port", hint="a number up to 65535, or auto")
    return int(text)


def key_of(variable: str | None) -> str | None:
    """The key itself, from the environment: never from a command line."""
    if variable is None:
        return None
    if not (key := os.environ.get(variable)):
        raise InvalidValue(f"the environment variable {variable} is not set or empty")
    return key


def key_in(path: Path | None) -> str | None:
    """The key that a file holds; one that others may read, or write, is none."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_LONGEST_KEY + 1)
    except OSError as e:
        raise NotFound(f"cannot read {path}: {(e.strerror or str(e)).lower()}") from e
    if mode & _FOREIGN:
        hint = f"chmod 600 {shlex.quote(str(path))}"
        raise InvalidValue(f"others may read or change the key in {path}", hint=hint)
    key = data.strip()
    if not key or len(key) > _LONGEST_KEY or not all(0x21 <= byte <= 0x7E for byte in key):
        raise InvalidValue(f"{path} holds no key: one line of visible ASCII letters")
    return key.decode()


def log_to(place: str) -> Callable[[bytes], object]:
    """A full disk later on, or a reader of stderr that has left, loses lines and no answers."""
    write = _writer(place)

    def tell(line: bytes) -> None:
        with suppress(OSError):
            write(line)

    return tell


def _writer(place: str) -> Callable[[bytes], object]:
    if place == "-":
        return _to_stderr
    path = Path(place)
    try:
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("ab", buffering=0).write
    except OSError as e:
        raise InvalidValue(f"cannot log to {place}: {(e.strerror or str(e)).lower()}") from e


def _to_stderr(line: bytes) -> None:
    """Where nobody reads a pipe that is full, the line is lost: to wait would stop every answer."""
    if select.select((), (sys.stderr,), (), 0)[1]:
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
