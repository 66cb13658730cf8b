"""Several answers to one request, told together as they come."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from mlxk.chat.types import Event, Finish, ToolUseStart

Stream = AsyncGenerator[Event, None]


async def interleaved(streams: Sequence[Stream]) -> AsyncGenerator[tuple[int, Event], None]:
    """The events of all streams with the number of their stream. Closing it closes them all."""
    if len(streams) == 1:
        async with aclosing(streams[0]) as events:
            async for event in events:
                yield 0, event
        return
    queue: asyncio.Queue[tuple[int, Event | None]] = asyncio.Queue()
    tasks = [asyncio.create_task(_pump(queue, n, stream)) for n, stream in enumerate(streams)]
    try:
        running = len(tasks)
        while running:
            number, told = await queue.get()
            if told is None:
                running -= 1
                await tasks[number]
            else:
                yield number, told
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def with_one_call(stream: Stream) -> Stream:
    """What a model says from its second call on is left out; what it cost is told all the same."""
    calls = 0
    async with aclosing(stream) as events:
        async for event in events:
            calls += isinstance(event, ToolUseStart)
            if calls < 2 or isinstance(event, Finish):
                yield event


async def _pump(
    queue: asyncio.Queue[tuple[int, Event | None]], number: int, stream: Stream
) -> None:
    try:
        async with aclosing(stream) as events:
            async for event in events:
                queue.put_nowait((number, event))
    finally:
        queue.put_nowait((number, None))
