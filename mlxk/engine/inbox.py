"""Where the engine's thread finds its commands between steps."""

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Protocol, TypeVar

from mlxk.engine.protocol import Command

T = TypeVar("T")


class Inbox(Protocol):
    def take(self, meanwhile: Callable[[], bool] | None = None) -> Sequence[Command]:
        """Everything that has arrived. `meanwhile` is for who has nothing to do: it is called, as
        long as it returns true, until something comes, which is waited for."""
        ...


class Queued:
    """`put` by the thread that reads the socket, taken by the one that owns MLX."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Command] = SimpleQueue()

    def put(self, command: Command) -> None:
        self._queue.put(command)

    def take(self, meanwhile: Callable[[], bool] | None = None) -> Sequence[Command]:
        taken = [awaited(self._queue, meanwhile)] if meanwhile else []
        while not self._queue.empty():
            taken.append(self._queue.get())
        return taken


def awaited(queue: SimpleQueue[T], meanwhile: Callable[[], bool]) -> T:
    while queue.empty() and meanwhile():
        pass
    return queue.get()


def asleep() -> bool:
    """There is nothing to do meanwhile."""
    return False
