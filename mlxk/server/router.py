"""One model in front of several: the first that can answer does."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from mlxk.chat.model import ChatModel
from mlxk.chat.types import Event, Request, Start
from mlxk.contract.errors import MlxkError, ModelNotFound, OutOfMemory, ProviderAuth

# Another place may well do what this one cannot; a wrong request is wrong everywhere.
_ELSEWHERE = (ModelNotFound, OutOfMemory, ProviderAuth)


class Fallback:
    """Goes on to the next route on failures that may pass or are the route's own.

    Once a word has been said there is no way back: the reader has it.
    """

    def __init__(self, routes: Sequence[tuple[str, ChatModel]]) -> None:
        """Each route is the model's name there and who answers."""
        self._routes = tuple(routes)

    @property
    def first(self) -> ChatModel:
        return self._routes[0][1]

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        for number, (name, model) in enumerate(self._routes, 1):
            said = False
            try:
                async with aclosing(_renamed(model, request, name)) as events:
                    async for event in events:
                        said = True
                        yield event
                return
            except MlxkError as e:
                may_pass = e.retryable or isinstance(e, _ELSEWHERE)
                if said or not may_pass or number == len(self._routes):
                    raise


async def _renamed(model: ChatModel, request: Request, name: str) -> AsyncGenerator[Event, None]:
    """Start waits for what follows it: before that, nothing has been said."""
    start: Event | None = None
    async with aclosing(model.stream(replace(request, model=name))) as events:
        async for event in events:
            if isinstance(event, Start):
                start = Start(event.id, request.model)
                continue
            if start is not None:
                yield start
                start = None
            yield event
