"""The engine as a ChatModel: text on this side, token ids in a process of its own."""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from mlxk.chat.types import Event, Request
from mlxk.engine.options import EngineOptions, EngineStats, Phase, Timings


class EngineModel:
    """One model, loaded once, answering many requests together.

    `async with EngineModel(folder, name) as model:` starts the engine process and returns at
    once; text and weights load side by side. `stream` waits for them. Leaving the block ends
    the process.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        options: EngineOptions | None = None,
        home: Path | None = None,
        new_id: Callable[[str], str] | None = None,
    ) -> None: ...

    async def open(self) -> None:
        """Start the process. EngineMissing when MLX is not installed."""

    async def close(self) -> None:
        """End the process; streams that are still running raise EngineFailed."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def ready(self) -> None:
        """Return when a token can be made; raise why that will not happen (ModelUnhealthy, ...)."""

    def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Start, deltas, one Finish. Errors before the first event: InvalidValue,
        ContextLengthExceeded, OverCapacity, ModelUnhealthy, EngineFailed."""

    def complete(self, request: Request, prompt: str) -> AsyncGenerator[Event, None]:
        """The same for a raw prompt without a chat template; `request.messages` is not read."""

    async def count_tokens(self, request: Request) -> int:
        """Prompt tokens after the chat template, tools included."""

    async def encode(self, text: str) -> list[int]: ...

    async def decode(self, ids: list[int]) -> str: ...

    @property
    def phase(self) -> Phase: ...

    @property
    def stats(self) -> EngineStats: ...

    @property
    def timings(self) -> Timings: ...

    @property
    def context_length(self) -> int | None:
        """Tokens of prompt and answer together; known once the text side has loaded."""
