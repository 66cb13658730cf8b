"""The loop: ask the model, run its calls, record the step, again. Knows no API and no terminal."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing

from mlxk.agent import events
from mlxk.agent.calls import Caller, CallRecord, Denial, Outcome
from mlxk.agent.events import Sender
from mlxk.agent.limits import Meter, spent
from mlxk.agent.record import Recorder
from mlxk.chat.fold import Fold, Reply
from mlxk.chat.model import ChatModel
from mlxk.chat.types import (
    Message,
    Request,
    Sampling,
    Text,
    TextDelta,
    ThinkingDelta,
    Tool,
    ToolUse,
)
from mlxk.contract.errors import EmptyAnswer, ProviderError, ToolDenied


class Loop:
    """One run over one conversation. What it did is readable at any time, also after a failure."""

    def __init__(
        self,
        model: ChatModel,
        caller: Caller,
        recorder: Recorder,
        meter: Meter,
        sender: Sender,
        *,
        model_name: str,
        system: str,
        tools: Sequence[Tool],
        sampling: Sampling,
    ) -> None:
        self._model = model
        self._caller = caller
        self._recorder = recorder
        self._meter = meter
        self._sender = sender
        self._request = Request(model_name, (), tuple(tools), sampling=sampling)
        self._system = Message("system", (Text(system),))
        self.calls: list[CallRecord] = []
        self.denials: list[Denial] = []
        self.result = ""
        self.ttft_s: float | None = None
        self.model_s = 0.0
        self.tools_s = 0.0

    async def run(self, prompt: str) -> None:
        """Until the model has nothing more to do. Raises why it ended otherwise."""
        self._recorder.add(Message("user", (Text(prompt),)))
        while reply := await self._turn():
            if not reply.message.tool_uses:
                return self._judge(reply)
            await self._run_calls(reply.message.tool_uses)
        return None

    async def _turn(self) -> Reply:
        self._meter.check()
        self._meter.turns += 1
        self._sender.turn = self._meter.turns
        self._sender.send(events.TurnStarted(len(self._recorder.messages)))
        reply = await self._ask()
        self.result = reply.message.text.strip() or self.result
        self._meter.add(reply.usage)
        usage = reply.usage
        used = events.Used(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)
        self._sender.send(used)
        self._recorder.add(reply.message)
        return reply

    async def _ask(self) -> Reply:
        folded, began = Fold(), time.monotonic()
        try:
            async with asyncio.timeout(self._meter.seconds_left()):
                await self._listen(folded, began)
        except TimeoutError as e:
            self._keep_partial(folded)
            raise spent("seconds", self._meter.budgets.seconds or 0) from e
        except asyncio.CancelledError:
            self._keep_partial(folded)
            raise
        finally:
            self.model_s += time.monotonic() - began
        if (reply := folded.reply) is None:
            self._keep_partial(folded)
            raise ProviderError("the model's answer ended before it was complete")
        return reply

    async def _listen(self, folded: Fold, began: float) -> None:
        async with aclosing(self._model.stream(self._next_request())) as stream:
            async for event in stream:
                folded.feed(event)
                match event:
                    case TextDelta(text):
                        self._first_token(began)
                        self._sender.send(events.TextDelta(text))
                    case ThinkingDelta(text):
                        self._first_token(began)
                        self._sender.send(events.ThinkingDelta(text))

    def _first_token(self, began: float) -> None:
        if self.ttft_s is None:
            self.ttft_s = time.monotonic() - began

    def _next_request(self) -> Request:
        request = self._request
        return Request(
            request.model,
            (self._system, *self._recorder.messages),
            request.tools,
            sampling=request.sampling,
            max_tokens=self._meter.tokens_left(),
        )

    def _keep_partial(self, folded: Fold) -> None:
        """What was said before the end stays in the history, without calls that never ran."""
        parts = tuple(part for part in folded.message.parts if isinstance(part, Text) and part.text)
        if parts:
            self._recorder.add(Message("assistant", parts))

    async def _run_calls(self, uses: tuple[ToolUse, ...]) -> None:
        done: list[Outcome] = []
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._meter.seconds_left()):
                await self._caller.run(uses, done)
        except TimeoutError as e:
            raise spent("seconds", self._meter.budgets.seconds or 0) from e
        finally:
            # Also when cancelled: what the calls wrote so far is committed, not lost.
            self.tools_s += time.monotonic() - began
            self.calls.extend(outcome.record for outcome in done)
            self.denials.extend(outcome.denial for outcome in done if outcome.denial)
            self._recorder.add_round(uses, done)
        self._meter.saw(
            repr([(use.name, use.arguments) for use in uses]),
            repr([outcome.result.text for outcome in done]),
        )

    def _judge(self, reply: Reply) -> None:
        """Whether an end without calls is a success."""
        if reply.reason == "length":
            left = self._meter.tokens_left()
            if left is not None and left <= 0:
                raise spent("tokens", self._meter.budgets.tokens or 0)
            raise ProviderError("the answer was cut at the model's length limit")
        if self.denials and self.calls and not self.calls[-1].ok:
            denial = self.denials[-1]
            raise ToolDenied(f"{denial.tool} was refused: {denial.reason}", tool=denial.tool)
        if not reply.message.text.strip() and not any(call.ok for call in self.calls):
            raise EmptyAnswer(
                "the model gave an empty answer", hint="try again, or another --model"
            )
