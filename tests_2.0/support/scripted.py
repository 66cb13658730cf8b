"""A ChatModel that says what it was told to say, and remembers what it was asked."""

import asyncio

from mlxk.chat.types import Finish, Start, TextDelta, ToolUseDelta, ToolUseStart, Usage

HELLO = (Start("r1", "m"), TextDelta("Hello"), TextDelta(" world"), Finish("stop", Usage(5, 2, 3)))
CALL = (
    Start("r1", "m"),
    ToolUseStart("t1", "Read"),
    ToolUseDelta('{"path":"a"}'),
    Finish("tool_use", Usage(5, 2)),
)


class Scripted:
    """Each request takes the next turn; the last turn repeats. An exception in a turn is raised.

    A number in a turn is a pause in seconds.
    """

    def __init__(self, *turns):
        self.turns = list(turns) or [HELLO]
        self.requests = []
        self.running = 0
        self.closed = asyncio.Event()

    async def stream(self, request):
        turn = self.turns[0] if len(self.turns) == 1 else self.turns.pop(0)
        self.requests.append(request)
        self.running += 1
        try:
            for step in turn:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, int | float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.running -= 1
            self.closed.set()


class Raw(Scripted):
    """One whose tokens are at hand: each word is one."""

    def complete(self, request, prompt):
        self.prompts = [*getattr(self, "prompts", ()), prompt]
        return self.stream(request)

    async def count_tokens(self, request):
        return sum(len(message.text.split()) for message in request.messages)

    async def encode(self, text):
        return list(range(len(text.split())))

    async def decode(self, ids):
        return " ".join(f"w{id}" for id in ids)
