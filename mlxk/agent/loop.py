"""The loop: ask the model, run its calls, record the step, again. Knows no API and no terminal."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from mlxk.agent import compact, events
from mlxk.agent.arguments import sendable
from mlxk.agent.calls import Caller, CallRecord, Denial, Outcome
from mlxk.agent.events import Sender
from mlxk.agent.limits import Meter, spent
from mlxk.agent.record import Recorder
from mlxk.agent.redact import redacted
from mlxk.agent.sizes import context_limit
from mlxk.agent.structured import structured
from mlxk.agent.tools.base import AgentTool
from mlxk.chat import notices
from mlxk.chat.fold import Fold, Reply
from mlxk.chat.model import ChatModel
from mlxk.chat.types import (
    Message,
    Request,
    ResponseFormat,
    Sampling,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolUse,
)
from mlxk.contract.errors import (
    ContextLengthExceeded,
    EmptyAnswer,
    MlxkError,
    ProviderError,
    ToolDenied,
)


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
        sampling: Sampling,
    ) -> None:
        self._model = model
        self._caller = caller
        self._recorder = recorder
        self._meter = meter
        self._sender = sender
        self._request = Request(model_name, (), sampling=sampling)
        self._system = Message("system", (Text(system),))
        self.calls: list[CallRecord] = []
        self.denials: list[Denial] = []
        self._last_denial: Denial | None = None
        self.result = ""
        self.ttft_s: float | None = None
        self.model_s = 0.0
        self.tools_s = 0.0

    def offer(self, tools: Sequence[AgentTool]) -> None:
        """What the model may call from now on."""
        self._caller.offer(tools)
        self._request = replace(self._request, tools=tuple(tool.spec for tool in tools))

    def request(self, prompt: str) -> Request:
        """What the model would be asked next."""
        asked = Message("user", (Text(prompt),))
        return self._request_for((*self._recorder.messages, asked), None)

    async def run(self, prompt: str) -> None:
        """Until the model has nothing more to do. Raises why it ended otherwise."""
        await self._recorder.add(Message("user", (Text(prompt),)))
        while reply := await self._turn():
            if not reply.message.tool_uses:
                return self._judge(reply)
            await self._run_calls(reply.message.tool_uses)
        return None

    async def structured(self, schema: dict[str, Any]) -> Any:
        """The result as a value that obeys `schema`; SchemaMismatch after three tries."""
        form = ResponseFormat("json_schema", schema=schema)

        async def ask(text: str) -> str:
            await self._recorder.add(Message("user", (Text(text),)))
            return (await self._turn(form)).message.text

        request = "Give the result as one JSON value that obeys this JSON schema:"
        return await structured(ask, request, schema)

    async def _turn(self, form: ResponseFormat | None = None) -> Reply:
        self._meter.check()
        self._meter.turns += 1
        self._sender.turn = self._meter.turns
        self._sender.send(events.TurnStarted(len(self._recorder.messages)))
        reply = await self._ask(form)
        self.result = reply.message.text.strip() or self.result
        self._meter.add(reply.usage)
        limit = await context_limit(self._model)
        self._sender.send(events.Used.of(reply.usage, limit))
        await self._recorder.add(reply.message)
        for crossed in self._meter.crossed():
            self._sender.send(events.Budget(*crossed))
        return reply

    async def _ask(self, form: ResponseFormat | None) -> Reply:
        """One answer. A conversation that does not fit the context is compacted, step by step."""
        for level in range(compact.LEVELS + 1):
            messages = tuple(self._recorder.messages)
            shorter = compact.compacted(messages, level) if level else messages
            if level:
                dropped = compact.size(messages) - compact.size(shorter)
                self._sender.send(events.Compacted(len(shorter), dropped))
            try:
                return await self._answer(self._request_for(shorter, form))
            except ContextLengthExceeded:
                if level == compact.LEVELS:
                    raise
        raise AssertionError("the last level returns or raises")

    async def _answer(self, request: Request) -> Reply:
        folded, began = Fold(), time.monotonic()
        try:
            async with asyncio.timeout(self._meter.seconds_left()):
                await self._listen(request, folded, began)
        except TimeoutError as e:
            await self._keep_partial(folded)
            raise spent("seconds", self._meter.budgets.seconds or 0) from e
        except (asyncio.CancelledError, MlxkError):
            await self._keep_partial(folded)
            raise
        finally:
            self.model_s += time.monotonic() - began
        if (reply := folded.reply) is None:
            await self._keep_partial(folded)
            raise ProviderError("the model's answer ended before it was complete")
        return reply

    async def _listen(self, request: Request, folded: Fold, began: float) -> None:
        with notices.heard_by(self._pass_on):
            async with aclosing(self._model.stream(request)) as stream:
                async for event in stream:
                    folded.feed(event)
                    match event:
                        case TextDelta(text):
                            self._first_token(began)
                            self._sender.send(events.TextDelta(text))
                        case ThinkingDelta(text):
                            self._first_token(began)
                            self._sender.send(events.ThinkingDelta(text))

    def _pass_on(self, notice: notices.Notice) -> None:
        match notice:
            case notices.Retry(attempt, wait_s, reason):
                self._sender.send(events.Retry(attempt, wait_s, redacted(reason)))
            case notices.Prefill(read, total):
                self._sender.send(events.Prefill(read, total))

    def _first_token(self, began: float) -> None:
        if self.ttft_s is None:
            self.ttft_s = time.monotonic() - began

    def _request_for(self, messages: tuple[Message, ...], form: ResponseFormat | None) -> Request:
        """With a form to fill in there is nothing to call."""
        return replace(
            self._request,
            messages=(self._system, *map(sendable, messages)),
            tools=() if form else self._request.tools,
            max_tokens=self._meter.tokens_left(),
            response_format=form or ResponseFormat(),
        )

    async def _keep_partial(self, folded: Fold) -> None:
        """What was said before the end stays in the history, without calls that never ran."""
        parts = tuple(part for part in folded.message.parts if isinstance(part, Text) and part.text)
        if parts:
            await self._recorder.add(Message("assistant", parts))

    async def _run_calls(self, uses: tuple[ToolUse, ...]) -> None:
        done: list[Outcome] = []
        began = time.monotonic()
        self._meter.tool_calls += len(uses)
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
            self._last_denial = done[-1].denial if done else None
            await self._recorder.add_round(uses, done)
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
        if (denial := self._last_denial) is not None:
            raise ToolDenied(f"{denial.tool} was refused: {denial.reason}", tool=denial.tool)
        if not reply.message.text.strip() and not any(call.ok for call in self.calls):
            raise EmptyAnswer(
                "the model gave an empty answer", hint="try again, or another --model"
            )
