"""What a ChatModel tells beside its answer, while somebody waits for it. Not part of the answer:
a model may tell nothing, and nobody has to listen."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """The request failed before anything was said; it is sent again after `wait_s`."""

    attempt: int
    wait_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Prefill:
    """So many tokens of a long prompt have been read."""

    read: int
    total: int


Notice = Retry | Prefill

_listener: ContextVar[Callable[[Notice], None] | None] = ContextVar("notices", default=None)


def tell(notice: Notice) -> None:
    if (listener := _listener.get()) is not None:
        listener(notice)


@contextmanager
def heard_by(listener: Callable[[Notice], None]) -> Iterator[None]:
    """Whatever the streams that are read inside tell goes to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
