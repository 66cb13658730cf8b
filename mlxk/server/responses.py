"""Answers that were asked to be kept, so that the next request may name them."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlxk.chat.fold import Reply
from mlxk.chat.types import Image, Message, Part, Text, Thinking, ToolResult, ToolUse
from mlxk.contract.encoding import dumps
from mlxk.contract.errors import NotFound
from mlxk.wire.frames import Asked

_LIMIT_BYTES = 256 << 20
# What an entry costs beside its text.
_LEAST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Kept:
    messages: tuple[Message, ...]
    body: dict[str, Any]
    bytes: int


class Responses:
    """In memory only: the oldest go first, and all of them with the process."""

    def __init__(self, limit: int = 1000, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self.bytes = 0

    def __contains__(self, id: object) -> bool:
        return id in self._kept

    def keep(self, asked: Asked, reply: Reply, body: dict[str, Any]) -> None:
        """The conversation with its answer; instructions hold for one answer only."""
        asked_ = asked.request.messages[1:] if asked.instructed else asked.request.messages
        messages = (*asked_, reply.message) if reply.message.parts else asked_
        kept = Kept(messages, body, _LEAST_BYTES + _size(messages) + len(dumps(body)))
        id = body["id"]
        if id in self._kept:
            self._drop(id)
        self._kept[id] = kept
        self.bytes += kept.bytes
        while len(self._kept) > self._limit or self.bytes > self._limit_bytes:
            self._drop(next(iter(self._kept)))

    def continued(self, asked: Asked) -> Asked:
        """New instructions if there are any, the conversation so far, then what is new."""
        if asked.previous is None:
            return asked
        before, new = self._find(asked.previous).messages, asked.request.messages
        first = 1 if asked.instructed else 0
        messages = (*new[:first], *before, *new[first:])
        return replace(asked, request=replace(asked.request, messages=messages))

    def get(self, id: str) -> dict[str, Any]:
        return self._find(id).body

    def forget(self, id: str) -> None:
        self._find(id)
        self._drop(id)

    def _drop(self, id: str) -> None:
        self.bytes -= self._kept.pop(id).bytes

    def _find(self, id: str) -> Kept:
        if id not in self._kept:
            code = "previous_response_not_found"
            raise NotFound(f"no answer {id!r} is kept here", code=code)
        self._kept.move_to_end(id)
        return self._kept[id]


def _size(messages: Sequence[Message]) -> int:
    """Of each conversation as if it shared nothing with others: too much rather than too little."""
    return sum(_length(part) for message in messages for part in message.parts)


def _length(part: Part) -> int:
    match part:
        case Text(text) | Thinking(text) | ToolResult(_, text):
            return len(text)
        case ToolUse(_, name, arguments):
            return len(name) + len(arguments)
        case Image(_, data, url):
            return len(data or url or "")
