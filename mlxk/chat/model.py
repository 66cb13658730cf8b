"""Whatever answers a request with events: an engine, a remote API, a script in a test."""

from collections.abc import AsyncGenerator
from typing import Protocol, runtime_checkable

from mlxk.chat.types import Event, Request


class ChatModel(Protocol):
    """`stream` yields one Start, deltas, then exactly one Finish; or it raises an MlxkError.

    Closing the generator aborts the request.
    """

    def stream(self, request: Request) -> AsyncGenerator[Event, None]: ...


@runtime_checkable
class Measured(Protocol):
    """A ChatModel that also knows sizes in tokens: our own engine does, most APIs do not."""

    async def count_tokens(self, request: Request) -> int:
        """Of the whole prompt, tools included."""
        ...

    async def context_length(self) -> int:
        """Tokens of prompt and answer together."""
        ...
