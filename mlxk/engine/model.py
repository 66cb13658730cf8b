"""The engine as a ChatModel: text on this side, token ids in a process of its own."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, aclosing
from pathlib import Path
from types import TracebackType
from typing import Self

from mlxk.chat.types import Event, Request, Start
from mlxk.contract.errors import DraftMismatch, EngineMissing, InvalidValue
from mlxk.engine.answering import Question, answer
from mlxk.engine.jobs import job_of
from mlxk.engine.options import EngineOptions, EngineStats, Phase, Timings
from mlxk.engine.prompt import Prompt, Prompter
from mlxk.engine.supervisor import Supervisor
from mlxk.engine.tokenizer import TextModel, load_text
from mlxk.hub import locks
from mlxk.system import hardware, paths

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
        self._held = ExitStack()
        log = (home or paths.home()) / "logs" / f"engine-{_safe(name)}.log"
        on_cpu = hardware.backend() == "cpu"
        self._supervisor = Supervisor(folder, log, self._options, on_cpu=on_cpu)
        self._text: asyncio.Task[tuple[TextModel, Prompter]] | None = None

    async def open(self) -> None:
        """Start the process, or hold nothing. EngineMissing when MLX is not installed."""
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> None:
        if hardware.backend() is None:
            raise EngineMissing("MLX is not installed", hint=hardware.install_hint())
        self._held.enter_context(locks.reading(self._folder))  # `mlxk rm` refuses meanwhile
        if isinstance(self._options.draft, Path):
            self._held.enter_context(locks.reading(self._options.draft))
        self._text = asyncio.ensure_future(
            asyncio.to_thread(_load, self._folder, self._options.draft)
        )
        await self._supervisor.start()

    async def close(self) -> None:
        """End the process; streams that are still running raise EngineFailed."""
        await self._supervisor.close()
        if self._text:
            await asyncio.gather(self._text, return_exceptions=True)
        self._held.close()

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
        prompt = await self._prompt(request)
        async with aclosing(self._answer(request, prompt)) as events:
            async for event in events:
                yield event

    async def complete(
        self, request: Request, prompt: str | Sequence[int]
    ) -> AsyncGenerator[Event, None]:
        """The same for a raw prompt without a chat template; `request.messages` is not read."""
        text, prompter = await self._loaded()
        if isinstance(prompt, str):
            raw = prompter.raw(prompt)
        else:
            raw = Prompt(_decoded(text, prompt), tuple(prompt), is_raw=True)
        async with aclosing(self._answer(request, raw)) as events:
            async for event in events:
                yield event

    async def count_tokens(self, request: Request) -> int:
        """Prompt tokens after the chat template, tools included."""
        return len((await self._prompt(request)).ids)

    async def encode(self, text: str) -> list[int]:
        known, _ = await self._loaded()
        return known.encode(text)

    async def decode(self, ids: Sequence[int]) -> str:
        known, _ = await self._loaded()
        return _decoded(known, ids)

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
        job = await asyncio.to_thread(job_of, request, prompt, text, self._context(text))
        await self._supervisor.ready()
        ticket = self._supervisor.submit(job)
        try:
            yield Start(secrets.token_hex(12), self.name)
            async for event in answer(Question(request, prompt, text), ticket, self._new_id):
                yield event
        finally:
            ticket.close()

    async def _prompt(self, request: Request) -> Prompt:
        """A long conversation takes milliseconds that other streams would have to wait."""
        _, prompter = await self._loaded()
        return await asyncio.to_thread(prompter.prompt, request)

    def _context(self, text: TextModel) -> int:
        limits = (self._options.context, text.context)
        return min((limit for limit in limits if limit), default=_UNKNOWN_CONTEXT)

    async def _loaded(self) -> tuple[TextModel, Prompter]:
        if self._text is None:
            raise RuntimeError("the model is not open")
        return await asyncio.shield(self._text)


def _load(folder: Path, draft: Path | str) -> tuple[TextModel, Prompter]:
    text = load_text(folder)
    if isinstance(draft, Path) and not text.has_tokens_of(load_text(draft)):
        message = "the draft model has other tokens than the model it should draft for"
        hint = "--draft wants a smaller model of the same family, or lookup"
        raise DraftMismatch(message, hint=hint)
    return text, Prompter(text)


def _decoded(text: TextModel, ids: Sequence[int]) -> str:
    """A tokenizer leaves out in silence what it does not know."""
    if strange := next((id for id in ids if id >= text.vocabulary), None):
        raise InvalidValue(f"the model has no token {strange}, only {text.vocabulary} of them")
    return text.decode(ids)


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in name)
