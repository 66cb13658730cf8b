"""A program on a leash heard from its model's side: events, budgets, conversation, commits.

Results arrive with the next request. While the program waits for its answer no file changes: that
is when a step is committed.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from mlxk.agent import events
from mlxk.agent.calls import CallRecord, Outcome
from mlxk.agent.events import Sender
from mlxk.agent.limits import Meter
from mlxk.agent.record import Recorder
from mlxk.agent.redact import redacted
from mlxk.agent.sizes import context_limit
from mlxk.chat.fold import Fold, Reply
from mlxk.chat.model import ChatModel
from mlxk.chat.types import (
    Event,
    Message,
    Request,
    Sampling,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolResult,
    ToolUse,
)
from mlxk.contract.errors import MlxkError


class Overheard:
    """`model`, and what went by: `over` is set when `error` must end the program.

    Requests without tools (titles, summaries), or beside another, are passed on and counted only.
    """

    def __init__(
        self, model: ChatModel, recorder: Recorder, meter: Meter, sender: Sender, asked: Request
    ) -> None:
        self._model = model
        self._recorder = recorder
        self._meter = meter
        self._sender = sender
        self._asked = asked
        self._open: tuple[ToolUse, ...] = ()
        self._called = 0.0
        self._is_busy = False
        self.over = asyncio.Event()
        self.error: MlxkError | None = None
        self.calls: list[CallRecord] = []
        self.result = ""
        self.ttft_s: float | None = None
        self.model_s = 0.0
        self.tools_s = 0.0

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        asked = replace(request, model=self._asked.model, sampling=self._sampling(request))
        is_main = bool(request.tools) and not self._is_busy
        folded, began = Fold(), time.monotonic()
        self._is_busy = self._is_busy or is_main
        try:
            if is_main:
                await self._begin(request)
            async with aclosing(self._model.stream(asked)) as stream:
                async for event in stream:
                    folded.feed(event)
                    if is_main:
                        self._tell(event, began)
                    if folded.reply:
                        self.error = None
                        # Before it goes out: with it the program may ask again, or end.
                        await self._count(folded.reply)
                        if is_main:
                            await self._keep(folded, began)
                    yield event
        except MlxkError as e:
            self._failed(e)
            raise
        finally:
            if is_main and folded.reply is None:
                await self._keep(folded, began)

    async def close(self) -> None:
        """Calls whose results never came are recorded as stopped, and what they wrote."""
        if self._open:
            await self._round({})

    async def _begin(self, request: Request) -> None:
        """One more turn: the results of the last one are in `request`."""
        if self._open:
            parts = (part for message in request.messages for part in message.parts)
            results = {part.tool_use_id: part for part in parts if isinstance(part, ToolResult)}
            await self._round(results)
        self._meter.check()
        self._meter.turns += 1
        self._sender.turn = self._meter.turns
        self._sender.send(events.TurnStarted(len(request.messages)))

    async def _round(self, results: dict[str, ToolResult]) -> None:
        uses, seconds = self._open, time.monotonic() - self._called
        self._open = ()
        self.tools_s += seconds
        done: list[Outcome] = []
        for use in uses:
            if (result := results.get(use.id)) is None:
                continue
            text, ok = redacted(result.text), not result.is_error
            rounded = round(seconds, 3)
            self._sender.send(events.ToolFinished(use.id, use.name, ok, rounded, text))
            record = CallRecord(use.name, ok, rounded)
            self.calls.append(record)
            done.append(Outcome(replace(result, text=text), record, None, None))
        await self._recorder.add_round(uses, done)
        self._meter.saw(
            repr([(use.name, use.arguments) for use in uses]), repr([o.result.text for o in done])
        )

    def _tell(self, event: Event, began: float) -> None:
        match event:
            case TextDelta(text):
                self._sender.send(events.TextDelta(text))
            case ThinkingDelta(text):
                self._sender.send(events.ThinkingDelta(text))
            case _:
                return
        if self.ttft_s is None:
            self.ttft_s = time.monotonic() - began

    async def _keep(self, folded: Fold, began: float) -> None:
        """The answer as far as it came; calls only of a whole one, the others never ran."""
        self._is_busy = False
        self.model_s += time.monotonic() - began
        message = folded.message
        if folded.reply is None:
            parts = tuple(part for part in message.parts if isinstance(part, Text) and part.text)
            message = Message("assistant", parts)
        if not message.parts:
            return
        self.result = message.text.strip() or self.result
        self._open, self._called = message.tool_uses, time.monotonic()
        self._meter.tool_calls += len(self._open)
        for use in self._open:
            self._sender.send(events.ToolStarted(use.id, use.name, use.arguments))
        await self._recorder.add(message)

    async def _count(self, reply: Reply) -> None:
        limit = await context_limit(self._model)
        self._meter.add(reply.usage)
        self._sender.send(events.Used.of(reply.usage, limit))
        for crossed in self._meter.crossed():
            self._sender.send(events.Budget(*crossed))

    def _failed(self, error: MlxkError) -> None:
        """The program may try again what can be tried again; what cannot ends it here."""
        self.error = error
        if not error.retryable:
            self.over.set()

    def _sampling(self, request: Request) -> Sampling:
        """As the run was asked to sample, where it was asked; else as the program does."""
        mine, theirs = self._asked.sampling, request.sampling
        return theirs if mine == Sampling() else mine
