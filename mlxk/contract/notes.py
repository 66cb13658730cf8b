"""Warnings that any layer may leave for the reader of the envelope."""

from collections.abc import Iterator
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


def note(code: str, message: str, pointer: str | None = None) -> None:
    """Leave a warning. Outside `collecting()` (library use) it is dropped."""
    if (notes := _notes.get()) is not None:
        entry = Note(code, message, pointer)
        if entry not in notes:
            notes.append(entry)


@contextmanager
def collecting() -> Iterator[list[Note]]:
    notes: list[Note] = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)
