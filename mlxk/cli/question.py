"""One question to a local model and its measured answer. Knows the engine, not the terminal."""

import time
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from mlxk.chat.fold import Fold
from mlxk.chat.speed import speed
from mlxk.chat.types import (
    Event,
    Finish,
    Image,
    Message,
    Request,
    ResponseFormat,
    Sampling,
    Start,
    Text,
    Usage,
)
from mlxk.cli.answerer import answerer
from mlxk.cli.run import Answered, Timings
from mlxk.contract import encoding
from mlxk.contract.errors import (
    EngineFailed,
    InvalidDocument,
    InvalidValue,
    NotFound,
    SchemaMismatch,
)
from mlxk.contract.validate import compiled, parsed
from mlxk.engine.options import EngineOptions


@dataclass(frozen=True, slots=True)
class Question:
    """`prompt` None asks for a chat on the terminal."""

    model: str
    prompt: str | None
    system: str | None
    max_tokens: int | None
    sampling: Sampling
    stop: tuple[str, ...]
    schema: dict[str, Any] | None
    stream: bool
    options: EngineOptions | None = None
    images: tuple[Image, ...] = ()

    def request(self, *history: Message) -> Request:
        system = (Message("system", (Text(self.system),)),) if self.system else ()
        form = ResponseFormat("json_schema", schema=self.schema) if self.schema else None
        return Request(
            self.model,
            (*system, *history),
            sampling=self.sampling,
            max_tokens=self.max_tokens,
            stop=self.stop,
            response_format=form or ResponseFormat(),
        )


def read_schema(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as e:
        raise NotFound(f"cannot read {path}: {e.strerror}", path=str(path)) from e
    schema = encoding.loads(data, str(path))
    if not isinstance(schema, dict):
        raise InvalidDocument(f"{path} holds no JSON schema: it is not an object")
    compiled(schema)
    return schema


def read_image(path: Path) -> Image:
    kind, _ = guess_type(path)
    if kind is None or not kind.startswith("image/"):
        raise InvalidValue(f"{path} is no image: its name ends in none of png, jpg, webp, gif")
    try:
        return Image(kind, b64encode(path.read_bytes()).decode())
    except OSError as e:
        raise NotFound(f"cannot read {path}: {e.strerror}", path=str(path)) from e


class Answering:
    """Feeds on its own stream: what was said and how long it took, also after an interruption."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._fold = Fold()
        self._load_s: float | None = None
        self._asked = self._first = self._last = 0.0

    async def stream(self) -> AsyncGenerator[Event, None]:
        question = self._question
        images = bool(question.images)
        async with answerer(question.model, question.options, images=images) as who:
            self._load_s = who.load_s
            self._asked = time.monotonic()
            said = Message("user", (Text(question.prompt or ""), *question.images))
            request = replace(question.request(said), model=who.name)
            async with aclosing(who.model.stream(request)) as events:
                async for event in events:
                    self._note(event)
                    yield event

    @property
    def began(self) -> bool:
        return bool(self._fold.model)

    @property
    def answer(self) -> Answered:
        end = self._fold.finish
        usage = end.usage if end else Usage()
        return Answered(
            self._fold.model,
            self._fold.message.text,
            end.reason if end else None,
            usage,
            self._timings(usage),
        )

    def checked(self) -> Answered:
        """The answer, which must obey the schema when one was given."""
        answer = self.answer
        if answer.finish_reason is None:
            raise EngineFailed("the answer ended without its end")
        if self._question.schema is None:
            return answer
        try:
            parsed(answer.response, self._question.schema)
        except SchemaMismatch as e:
            e.data = answer
            raise
        return answer

    def _note(self, event: Event) -> None:
        self._fold.feed(event)
        if isinstance(event, Start):
            return
        self._last = time.monotonic()
        if not self._first and not isinstance(event, Finish):
            self._first = self._last

    def _timings(self, usage: Usage) -> Timings:
        if not self._first:
            return Timings(self._load_s)
        ttft, end = self._first - self._asked, self._fold.finish
        rest = (end and end.made_s) or self._last - self._first
        made = speed(usage.completion_tokens - 1, rest)
        fresh = usage.prompt_tokens - usage.cached_tokens
        return Timings(
            load_s=self._load_s,
            ttft_s=round(ttft, 4),
            prompt_tps=round(fresh / ttft, 2) if usage.prompt_tokens and ttft > 0 else None,
            generation_tps=None if made is None else round(made, 2),
        )
