"""A ChatModel that says what it was told to say: for tests of agents and pipelines."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from mlxk.chat.fold import Reply, unfold
from mlxk.chat.types import (
    Event,
    FinishReason,
    Image,
    Message,
    Part,
    Request,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Usage,
)

Turn = str | Part | Sequence[Part] | Exception


class Scripted:
    """One turn an answer, in order: text, calls, or an error to raise; then the last for ever.

    `requests` is what was asked. `delay_s` passes before each event, so that a run can be cut off.
    """

    def __init__(self, *turns: Turn, delay_s: float = 0.0) -> None:
        self._turns = turns
        self._delay_s = delay_s
        self.requests: list[Request] = []
        self.open_streams = 0

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        number = len(self.requests)
        self.requests.append(request)
        turn = self._turns[min(number, len(self._turns) - 1)]
        if isinstance(turn, Exception):
            raise turn
        self.open_streams += 1
        try:
            for event in unfold(_reply(turn, number, request)):
                await asyncio.sleep(self._delay_s)
                yield event
        finally:
            self.open_streams -= 1


def call(name: str, arguments: str, id: str = "call_1") -> ToolUse:
    """A call as a turn: `call("Write", '{"path": "a", "content": "b"}')`."""
    return ToolUse(id, name, arguments)


def _reply(turn: str | Part | Sequence[Part], number: int, request: Request) -> Reply:
    message = Message("assistant", _parts(turn))
    reason: FinishReason = "tool_use" if message.tool_uses else "stop"
    usage = Usage(len(request.messages), len(message.parts))
    return Reply(f"scripted-{number + 1}", request.model, message, reason, usage)


def _parts(turn: str | Part | Sequence[Part]) -> tuple[Part, ...]:
    match turn:
        case str(text):
            return (Text(text),) if text else ()
        case Text() | Thinking() | Image() | ToolUse() | ToolResult():
            return (turn,)
    return tuple(turn)
