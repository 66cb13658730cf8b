"""Whatever answers a request with events: an engine, a remote API, a script in a test."""

from collections.abc import AsyncGenerator
from typing import Protocol

from mlxk.chat.types import Event, Request


class ChatModel(Protocol):
    """`stream` yields one Start, deltas, then exactly one Finish; or it raises an MlxkError.

    Closing the generator aborts the request.
    """

    def stream(self, request: Request) -> AsyncGenerator[Event, None]: ...
