"""Measures whatever answers: prompts of its own, rounds of requests, moments. Knows no target."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from mlxk.chat.model import ChatModel
from mlxk.chat.types import Finish, Message, Request, Sampling, Start, Text
from mlxk.contract.errors import MlxkError, ProviderRefused
from mlxk.contract.notes import note
from mlxk.deploy.bench_call import ToolCall, tool_call
from mlxk.deploy.bench_figures import Answer, Iteration, Level, iteration, level

_WORDS = (
    "river", "stone", "amber", "quiet", "engine", "garden", "winter", "copper", "lantern", "bridge",
    "window", "morning", "forest", "paper", "silver", "market", "thunder", "velvet", "harbor",
    "meadow", "candle", "orbit", "pepper", "signal", "anchor", "marble", "cotton", "breeze",
)  # fmt: skip
_WARM_TOKENS = 16
_CACHED = 0.05
_MERGED = 0.8
_MOST_WORDS = 2  # a token; a template that cuts what is long would have us send ever more
_USUAL_WORDS = 0.75
_OFF = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """`levels` are numbers of requests at once; each is measured `iterations` times."""

    model: str
    levels: tuple[int, ...] = (1,)
    iterations: int = 3
    prompt_tokens: int = 512
    max_tokens: int = 128
    tool_call: bool = False


@dataclass(frozen=True, slots=True)
class Phase:
    type: Literal["phase"]
    phase: Literal["loading", "warm_up", "measuring", "tool_call"]
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    type: Literal["iteration"]
    iteration: Iteration


Progress = Phase | Measured


class Bench:
    """What was completed stays, also when the measuring is interrupted."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.iterations: list[Iteration] = []
        self.tool_call: ToolCall | None = None
        self._answers: dict[int, list[Answer]] = {}
        self._dice = random.Random()
        self._words = plan.prompt_tokens // 4 + 1
        self._is_forced = True

    async def run(self, model: ChatModel) -> AsyncGenerator[Progress, None]:
        """A failure of every request of a round is a failure of the whole."""
        plan = self.plan
        for number, concurrency in enumerate(plan.levels):
            yield Phase("phase", "warm_up", concurrency)
            if number == 0:
                await self._get_acquainted(model)
            await self._round(model, concurrency, min(_WARM_TOKENS, plan.max_tokens))
            yield Phase("phase", "measuring", concurrency)
            for turn in range(1, plan.iterations + 1):
                answers, seconds = await self._round(model, concurrency, plan.max_tokens)
                row = iteration(concurrency, turn, answers, seconds)
                self.iterations.append(row)
                self._answers.setdefault(concurrency, []).extend(answers)
                yield Measured("iteration", row)
        if plan.tool_call:
            yield Phase("phase", "tool_call")
            self.tool_call = await tool_call(model, plan.model)
        self._remark()

    @property
    def levels(self) -> tuple[Level, ...]:
        return tuple(
            level([row for row in self.iterations if row.concurrency == count], answers)
            for count, answers in self._answers.items()
        )

    @property
    def cached_tokens(self) -> int:
        return sum(row.cached_tokens for row in self.iterations)

    async def _get_acquainted(self, model: ChatModel) -> None:
        """Find out whether a fixed length can be had, and how many words make a prompt.

        Templates add tokens of their own: two lengths say how many there are to a word.
        """
        try:
            short = await self._ask(model, 1)
        except ProviderRefused:
            self._is_forced = False
            short = await self._ask(model, 1)
        few, wanted = self._words, self.plan.prompt_tokens
        if not short.prompt_tokens:
            self._words = max(1, round(wanted * _USUAL_WORDS))
            return
        self._words = max(1, few * wanted // short.prompt_tokens)
        long = await self._ask(model, 1)
        grown, more = long.prompt_tokens - short.prompt_tokens, self._words - few
        if abs(more) > few // 4 and grown * more > 0:
            missing = (wanted - long.prompt_tokens) * more / grown
            self._words = min(max(1, self._words + round(missing)), _MOST_WORDS * wanted)

    async def _round(
        self, model: ChatModel, concurrency: int, max_tokens: int
    ) -> tuple[list[Answer], float]:
        began = time.perf_counter()
        asked = (self._ask(model, max_tokens) for _ in range(concurrency))
        results = await asyncio.gather(*asked, return_exceptions=True)
        seconds = time.perf_counter() - began
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in failures:
            if len(failures) == concurrency or not isinstance(failure, MlxkError):
                raise failure
            note("request_failed", f"with {concurrency} at once: {failure}")
        return [result for result in results if isinstance(result, Answer)], seconds

    async def _ask(self, model: ChatModel, max_tokens: int) -> Answer:
        request = self._request(max_tokens)
        moments: list[float] = []
        began = time.perf_counter()
        async with aclosing(model.stream(request)) as events:
            async for event in events:
                if isinstance(event, Finish):
                    spent = time.perf_counter() - began
                    usage = event.usage
                    return Answer(
                        usage.prompt_tokens,
                        usage.completion_tokens or len(moments),
                        usage.cached_tokens,
                        tuple(moments),
                        spent,
                    )
                if not isinstance(event, Start):
                    moments.append(time.perf_counter() - began)
        raise AssertionError("a stream ends with its Finish")

    def _request(self, max_tokens: int) -> Request:
        """The words are drawn anew each time: no cache has read them."""
        text = " ".join(self._dice.choices(_WORDS, k=self._words))
        return Request(
            self.plan.model,
            (Message("user", (Text(text),)),),
            sampling=Sampling(temperature=0),
            max_tokens=max_tokens,
            ignore_eos=self._is_forced,
        )

    def _remark(self) -> None:
        """What a reader of the figures must know."""
        answers = [answer for some in self._answers.values() for answer in some]
        asked, made = (
            sum(a.prompt_tokens for a in answers),
            sum(a.completion_tokens for a in answers),
        )
        short = sum(a.completion_tokens < self.plan.max_tokens for a in answers)
        pieces = sum(len(a.moments) for a in answers)
        if not asked:
            note("no_usage", "the server reports no tokens: pieces of text were counted instead")
        elif abs(asked / len(answers) / self.plan.prompt_tokens - 1) > _OFF:
            said = f"prompts were of {asked // len(answers)} tokens"
            note("prompt_length", f"{said}, not of {self.plan.prompt_tokens}")
        if self.cached_tokens > _CACHED * asked:
            said = f"{self.cached_tokens} of {asked} prompt tokens came from a cache"
            note("prompt_cached", f"{said}: they are not counted as read")
        if short:
            said = f"{short} of {len(answers)} answers ended before {self.plan.max_tokens} tokens"
            note("short_answers", said)
        if pieces < _MERGED * made:
            note("merged_tokens", f"{made} tokens came in {pieces} pieces: gaps are of pieces")
