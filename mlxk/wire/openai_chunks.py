"""A streamed answer in chunks of choices: what chat completions and completions share."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from mlxk.chat.types import Event, Finish, FinishReason, Start, Usage
from mlxk.contract.errors import MlxkError, ProviderError
from mlxk.wire import openai
from mlxk.wire.frames import DONE, KEEP_ALIVE, Asked, Frame
from mlxk.wire.reading import bare_id


class ChunkEncoder:
    """How a stream ends: when every choice has, with one usage for all of them if asked for."""

    heartbeat = KEEP_ALIVE

    def __init__(self, asked: Asked, created: int) -> None:
        self._asked = asked
        self._created = created
        self._head: dict[str, Any] = {}
        self._usages: dict[int, Usage] = {}

    def fail(self, error: MlxkError) -> list[Frame]:
        return [Frame(openai.encode_error(error, error.http_status)), DONE]

    def _frame(self, choice: dict[str, Any]) -> Frame:
        chunk = {**self._head, "choices": [choice]}
        return Frame(chunk | {"usage": None} if self._asked.include_usage else chunk)

    def _tail(self, choice: int, usage: Usage) -> list[Frame]:
        self._usages[choice] = usage
        if len(self._usages) < self._asked.choices:
            return []
        if not self._asked.include_usage:
            return [DONE]
        usages = [usage for _, usage in sorted(self._usages.items())]
        told = openai.encode_usage(usages, len(self._asked.prompts) or 1)
        return [Frame({**self._head, "choices": [], "usage": told}), DONE]


class ChunkDecoder:
    """The first choice only: its start, its reason to finish, the usage, failures.

    `prefix` is what the format writes before the id of an answer.
    """

    prefix: str

    def __init__(self) -> None:
        self._started = False
        self._reason: str | None = None
        self._usage = Usage()
        self._finished = False

    def feed(self, frame: Frame) -> list[Event]:
        if (chunk := frame.data) is None:
            return self.end()
        if error := chunk.get("error"):
            raise ProviderError(openai.message_of(error))
        if usage := chunk.get("usage"):
            self._usage = openai.decode_usage(usage)
        events = self._start(chunk) if chunk.get("id") or chunk.get("choices") else []
        for choice in chunk.get("choices") or ():
            if not choice.get("index"):
                events += self._told(choice)
                self._reason = choice.get("finish_reason") or self._reason
        return events

    def end(self) -> list[Event]:
        if self._reason is None or self._finished:
            return []
        self._finished = True
        return [Finish(self._meant(self._reason), self._usage)]

    def _start(self, chunk: dict[str, Any]) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [Start(bare_id(chunk, self.prefix), chunk.get("model") or "")]

    @abstractmethod
    def _told(self, choice: dict[str, Any]) -> Iterable[Event]:
        """What one choice of a chunk says."""

    @abstractmethod
    def _meant(self, reason: str) -> FinishReason: ...
