"""Warnings that any layer may leave for the reader of the envelope."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """One entry of `envelope.warnings`; `pointer` is a JSON pointer into the input, if any."""

    code: str
    message: str
    pointer: str | None = None


_notes: ContextVar[list[Note] | None] = ContextVar("notes", default=None)
_listener: ContextVar[Callable[[Note], None] | None] = ContextVar("note_listener", default=None)


def note(code: str, message: str, pointer: str | None = None) -> None:
    """Leave a warning. Outside `collecting()` and `heard_by()` it is dropped."""
    entry = Note(code, message, pointer)
    if (notes := _notes.get()) is not None and entry not in notes:
        notes.append(entry)
    if (listener := _listener.get()) is not None:
        listener(entry)


@contextmanager
def collecting() -> Iterator[list[Note]]:
    notes: list[Note] = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


@contextmanager
def heard_by(listener: Callable[[Note], None]) -> Iterator[None]:
    """Warnings left inside also go to `listener`, as they come."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
