"""Answers that were asked to be kept, so that the next request may name them."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from mlxk.chat.fold import Reply
from mlxk.chat.types import Message, Request
from mlxk.contract.errors import NotFound
from mlxk.wire.frames import Asked


@dataclass(frozen=True, slots=True)
class Kept:
    messages: tuple[Message, ...]
    body: dict[str, Any]


class Responses:
    """In memory only: the oldest go first, and all of them with the process."""

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def keep(self, request: Request, reply: Reply, body: dict[str, Any]) -> None:
        self._kept[reply.id] = Kept((*request.messages, reply.message), body)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def continued(self, asked: Asked) -> Asked:
        """The conversation so far, then what is new; instructions hold for one answer only."""
        if asked.previous is None:
            return asked
        before = self._find(asked.previous).messages
        messages = (*before, *asked.request.messages)
        return replace(asked, request=replace(asked.request, messages=messages))

    def get(self, id: str) -> dict[str, Any]:
        return self._find(id).body

    def forget(self, id: str) -> None:
        self._find(id)
        del self._kept[id]

    def _find(self, id: str) -> Kept:
        if id not in self._kept:
            raise NotFound(f"no answer {id!r} is kept here")
        self._kept.move_to_end(id)
        return self._kept[id]
