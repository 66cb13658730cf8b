"""One model in front of several: the first that can answer does."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from mlxk.chat.model import ChatModel
from mlxk.chat.types import Event, Request, Start
from mlxk.contract.errors import MlxkError, ModelNotFound, OutOfMemory, ProviderAuth

Try = Callable[[], AsyncGenerator[Event, None]]

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

    def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        tries = [partial(m.stream, replace(request, model=n)) for n, m in self._routes]
        return self.answered(tries, request.model)

    async def answered(self, tries: Sequence[Try], asked: str) -> AsyncGenerator[Event, None]:
        """By the first that can, under the name that was asked for."""
        for number, begin in enumerate(tries, 1):
            said = False
            try:
                async with aclosing(_renamed(begin(), asked)) as events:
                    async for event in events:
                        said = True
                        yield event
                return
            except MlxkError as e:
                may_pass = e.retryable or isinstance(e, _ELSEWHERE)
                if said or not may_pass or number == len(tries):
                    raise


async def _renamed(answer: AsyncGenerator[Event, None], asked: str) -> AsyncGenerator[Event, None]:
    """Start waits for what follows it: before that, nothing has been said."""
    start: Event | None = None
    async with aclosing(answer) as events:
        async for event in events:
            if isinstance(event, Start):
                start = Start(event.id, asked)
                continue
            if start is not None:
                yield start
                start = None
            yield event
