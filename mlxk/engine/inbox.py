"""Where the engine's thread finds its commands between steps."""

from collections.abc import Sequence
from queue import SimpleQueue
from typing import Protocol

from mlxk.engine.protocol import Command


class Inbox(Protocol):
    def take(self, *, wait: bool) -> Sequence[Command]:
        """Everything that has arrived; with `wait` at least one command."""
        ...


class Queued:
    """`put` by the thread that reads the socket, taken by the one that owns MLX."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Command] = SimpleQueue()

    def put(self, command: Command) -> None:
        self._queue.put(command)

    def take(self, *, wait: bool) -> Sequence[Command]:
        taken = [self._queue.get()] if wait else []
        while not self._queue.empty():
            taken.append(self._queue.get())
        return taken
