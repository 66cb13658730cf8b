"""The engine as a ChatModel: text on this side, token ids in a process of its own."""

import asyncio
import secrets
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mlxk.chat.types import Event, Finish, FinishReason, Request, Start, Usage
from mlxk.contract.errors import ContextLengthExceeded, EngineMissing, InvalidValue
from mlxk.engine.answer import AnswerParser
from mlxk.engine.markup import hidden, is_thinking, markup
from mlxk.engine.measures import Measures
from mlxk.engine.options import EngineOptions, EngineStats, Phase, Timings
from mlxk.engine.policy import policy
from mlxk.engine.prompt import Prompt, Prompter, offered
from mlxk.engine.protocol import Job
from mlxk.engine.supervisor import Supervisor
from mlxk.engine.text import Detokenizer
from mlxk.engine.tickets import Ticket
from mlxk.engine.tokenizer import TextModel, load_text
from mlxk.system import hardware, paths

if TYPE_CHECKING:
    from mlxk.engine.grammar import Grammar

_MOST_LOGPROBS = 20
_UNKNOWN_CONTEXT = 4096


def new_id(kind: str) -> str:
    """`call_…` and the like, unique."""
    return f"{kind}_{secrets.token_hex(12)}"


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
        new_id: Callable[[str], str] = new_id,
    ) -> None:
        self.name = name
        self._folder = folder
        self._options = options or EngineOptions()
        self._new_id = new_id
        log = (home or paths.home()) / "logs" / f"engine-{_safe(name)}.log"
        on_cpu = hardware.backend() == "cpu"
        self._supervisor = Supervisor(folder, log, self._options, on_cpu=on_cpu)
        self._text: asyncio.Task[tuple[TextModel, Prompter]] | None = None

    async def open(self) -> None:
        """Start the process. EngineMissing when MLX is not installed."""
        if hardware.backend() is None:
            raise EngineMissing("MLX is not installed", hint=_install())
        self._text = asyncio.ensure_future(asyncio.to_thread(_load, self._folder))
        await self._supervisor.start()

    async def close(self) -> None:
        """End the process; streams that are still running raise EngineFailed."""
        await self._supervisor.close()
        if self._text:
            await asyncio.gather(self._text, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def ready(self) -> None:
        """Return when a token can be made; raise why that will not happen (ModelUnhealthy, ...)."""
        await self._loaded()
        await self._supervisor.ready()

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Start, deltas, one Finish. Errors before the first event: InvalidValue,
        ContextLengthExceeded, OverCapacity, ModelUnhealthy, EngineFailed."""
        _, prompter = await self._loaded()
        async with aclosing(self._answer(request, prompter.prompt(request))) as events:
            async for event in events:
                yield event

    async def complete(self, request: Request, prompt: str) -> AsyncGenerator[Event, None]:
        """The same for a raw prompt without a chat template; `request.messages` is not read."""
        _, prompter = await self._loaded()
        async with aclosing(self._answer(request, prompter.raw(prompt))) as events:
            async for event in events:
                yield event

    async def count_tokens(self, request: Request) -> int:
        """Prompt tokens after the chat template, tools included."""
        _, prompter = await self._loaded()
        return len(prompter.prompt(request).ids)

    async def encode(self, text: str) -> list[int]:
        known, _ = await self._loaded()
        return known.encode(text)

    async def decode(self, ids: Sequence[int]) -> str:
        known, _ = await self._loaded()
        return known.decode(ids)

    @property
    def phase(self) -> Phase:
        return self._supervisor.phase

    @property
    def stats(self) -> EngineStats:
        return self._supervisor.stats

    @property
    def timings(self) -> Timings:
        facts = self._supervisor.facts
        return Timings(load_s=facts.load_s if facts else None)

    @property
    def pid(self) -> int | None:
        """The engine process, for tests and for `ps`."""
        return self._supervisor.pid

    async def context_length(self) -> int:
        """Tokens of prompt and answer together."""
        known, _ = await self._loaded()
        return self._context(known)

    async def _answer(self, request: Request, prompt: Prompt) -> AsyncGenerator[Event, None]:
        text, _ = await self._loaded()
        job = await self._job(request, prompt, text)
        await self._supervisor.ready()
        ticket = self._supervisor.submit(job)
        try:
            yield Start(self._new_id("msg"), self.name)
            async for event in self._events(request, prompt, text, ticket):
                yield event
        finally:
            ticket.close()

    async def _events(
        self, request: Request, prompt: Prompt, text: TextModel, ticket: Ticket
    ) -> AsyncGenerator[Event, None]:
        marks = markup(text, request)
        parser = AnswerParser(
            marks,
            tools=offered(request),
            stops=request.stop,
            is_thinking=is_thinking(marks, prompt.text),
            new_id=self._new_id,
        )
        pieces = Detokenizer(text, prompt.ids, hidden(text, marks))
        measures = Measures(text)
        made, ended = 0, None
        while ended is None and parser.stop is None:
            for step in await ticket.steps():
                ended = step.ended
                is_text = ended != "stop"
                made += is_text
                measures.note(step)
                for event in parser.feed(pieces.feed((step.token,)) if is_text else ""):
                    yield measures.attach(event)
                if parser.stop is not None:
                    break
        if parser.stop is None:
            for event in (*parser.feed(pieces.flush()), *parser.flush()):
                yield measures.attach(event)
        yield Finish(
            _reason(ended, parser), Usage(len(prompt.ids), made, ticket.cached), parser.stop
        )

    async def _job(self, request: Request, prompt: Prompt, text: TextModel) -> Job:
        limit = self._context(text)
        room = limit - len(prompt.ids)
        if room < 1 or not prompt.ids:
            raise _unfit(len(prompt.ids), limit)
        if request.max_tokens is not None and request.max_tokens < 1:
            raise InvalidValue("max_tokens must be at least 1", field="max_tokens")
        rule = await asyncio.to_thread(_rule, request, prompt, text) if is_ruled(request) else None
        return Job(
            uid=0,
            prompt=prompt.ids,
            made=(),
            max_tokens=min(request.max_tokens or room, room),
            stop=text.stop,
            policy=policy(
                request.sampling,
                text.defaults,
                vocabulary=text.vocabulary,
                seed=secrets.randbits(64),
            ),
            grammar=rule.text if rule else None,
            grammar_after=rule.after if rule else (),
            top_logprobs=_checked_top(request.top_logprobs),
        )

    def _context(self, text: TextModel) -> int:
        limits = (self._options.context, text.context)
        return min((limit for limit in limits if limit), default=_UNKNOWN_CONTEXT)

    async def _loaded(self) -> tuple[TextModel, Prompter]:
        if self._text is None:
            raise RuntimeError("the model is not open")
        return await asyncio.shield(self._text)


def _load(folder: Path) -> tuple[TextModel, Prompter]:
    text = load_text(folder)
    return text, Prompter(text)


def _checked_top(count: int | None) -> int | None:
    if count is not None and not 0 <= count <= _MOST_LOGPROBS:
        raise InvalidValue(f"top_logprobs must be 0 to {_MOST_LOGPROBS}", field="top_logprobs")
    return count


def _rule(request: Request, prompt: Prompt, text: TextModel) -> "Grammar | None":
    """llguidance is imported for those who need it, on a thread that may take its time."""
    from mlxk.engine.grammar import grammar  # noqa: PLC0415

    marks = markup(text, request)
    return grammar(request, marks, text, is_thinking=is_thinking(marks, prompt.text))


def is_ruled(request: Request) -> bool:
    """Whether the answer must have a certain form."""
    is_forced = request.tool_choice.mode in ("required", "named")
    return is_forced or request.response_format.kind != "text"


def _reason(ended: str | None, parser: AnswerParser) -> FinishReason:
    if parser.has_called and ended != "length":
        return "tool_use"
    return "length" if ended == "length" and parser.stop is None else "stop"


def _unfit(prompt_tokens: int, limit: int) -> InvalidValue | ContextLengthExceeded:
    if not prompt_tokens:
        return InvalidValue("the prompt is empty", field="messages")
    return ContextLengthExceeded(
        f"the prompt has {prompt_tokens} tokens, the model's context is {limit}",
        prompt_tokens=prompt_tokens,
        context_length=limit,
    )


def _install() -> str:
    return "pip install mlx" if sys.platform == "darwin" else "pip install 'mlxk[cpu]'"


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in name)
