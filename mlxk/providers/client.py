"""Somebody else's HTTP API as a ChatModel: one client over all wire formats."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from yarl import URL

from mlxk.chat import notices
from mlxk.chat.fold import unfold
from mlxk.chat.types import Event, Finish, Request, Start
from mlxk.contract import encoding
from mlxk.contract.errors import (
    InvalidDocument,
    InvalidValue,
    MlxkError,
    ProviderError,
    RequestTimeout,
)
from mlxk.providers.endpoints import Endpoint
from mlxk.providers.refusals import OWN_ERROR, refusal
from mlxk.wire import sse

T = TypeVar("T")
_MISREAD = (KeyError, IndexError, TypeError, AttributeError, ValueError)
_ERROR_BYTES = 64 << 10
_ANSWER_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, and how often to try again before anything was said."""

    tries: int = 5
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    connect_s: float = 15.0
    silence_s: float = 600.0


class RemoteModel:
    """`async with RemoteModel(endpoint(name)) as model:` keeps its connections open."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        patience: Patience | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        more_headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`more_headers` is asked at each request: what goes with it changes."""
        self._endpoint = endpoint
        self._more_headers = more_headers
        self._patience = patience or Patience()
        self._pause = pause
        self._jitter = jitter
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        patience = self._patience
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=patience.connect_s, sock_read=patience.silence_s
        )
        # As many answers at a time as somebody asks for: who answers them has a limit of its own.
        connections = aiohttp.TCPConnector(limit=0)
        self._http = aiohttp.ClientSession(timeout=limits, connector=connections)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Tries again on rate limits, failures and cuts, as long as nothing was said."""
        said = False
        for attempt in range(1, self._patience.tries + 1):
            try:
                async with aclosing(self._attempt(request)) as events:
                    async for event in events:
                        said = True
                        yield event
                return
            except _Passing as e:
                if said or attempt == self._patience.tries:
                    raise e.error from e
                wait = e.after if e.after is not None else self._wait(attempt)
                wait = min(wait, self._patience.longest_pause_s)
                notices.tell(notices.Retry(attempt, round(wait, 3), str(e.error)))
            await self._pause(wait)

    def _wait(self, attempt: int) -> float:
        longest: float = self._patience.first_pause_s * 2 ** (attempt - 1)
        return longest * (0.5 + self._jitter() / 2)

    async def _attempt(self, request: Request) -> AsyncGenerator[Event, None]:
        """One try. Start is held back until something follows, so that a retry may replace it."""
        started: Start | None = None
        finished = False
        async with aclosing(self._answer(request)) as events:
            async for event in events:
                if isinstance(event, Start):
                    started = started or event
                    continue
                if started is not None:
                    yield started
                    started = None
                finished = isinstance(event, Finish)
                yield event
        if not finished:
            raise _Passing(ProviderError(f"{self._endpoint.name}: the answer was cut off"))

    async def _answer(self, request: Request) -> AsyncGenerator[Event, None]:
        endpoint = self._endpoint
        request = replace(request, model=endpoint.model or request.model)
        body = endpoint.body(endpoint.format.encode_request(request, stream=True))
        try:
            async with self._session.post(
                URL(endpoint.url(request.model), encoded=True),
                data=encoding.dumps(body),
                headers={
                    "Content-Type": "application/json",
                    **endpoint.headers(),
                    **self._more_headers(),
                },
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    await self._refused(response)
                async with aclosing(self._events(response)) as events:
                    async for event in events:
                        yield event
        except TimeoutError as e:
            raise _Passing(RequestTimeout(f"{endpoint.name} did not answer in time")) from e
        except aiohttp.ClientPayloadError as e:
            raise _Passing(ProviderError(f"{endpoint.name}: the answer was cut off")) from e
        except aiohttp.ClientError as e:
            message = f"{endpoint.name} cannot be reached at {endpoint.base}: {e}"
            raise _Passing(ProviderError(message)) from e

    async def _events(self, response: aiohttp.ClientResponse) -> AsyncGenerator[Event, None]:
        if response.content_type == "application/json":
            reply = await self._whole(response)
            for event in self._read(lambda value: list(unfold(value)), reply):
                yield event
            return
        frames, decoder = sse.Decoder(), self._endpoint.format.decoder()
        async for piece in response.content.iter_any():
            for frame in self._read(frames.feed, piece):
                for event in self._read(decoder.feed, frame):
                    yield event
        for event in decoder.end():
            yield event

    async def _whole(self, response: aiohttp.ClientResponse) -> Any:
        """A server that does not stream: its answer comes in one piece."""
        data = await _beginning(response, _ANSWER_BYTES + 1)
        if len(data) > _ANSWER_BYTES:
            raise ProviderError(f"{self._endpoint.name}: the answer is larger than 64 MiB")
        return self._read(
            lambda value: self._endpoint.format.decode_reply(encoding.loads(value, "the answer")),
            data,
        )

    async def _refused(self, response: aiohttp.ClientResponse) -> None:
        own = response.headers.get(OWN_ERROR)
        body = await _beginning(response, _ERROR_BYTES)
        error, again = refusal(self._endpoint, response.status, body, own)
        if not again:
            raise error
        raise _Passing(error, _seconds(response.headers.get("Retry-After")))

    def _read(self, read: Callable[[Any], T], value: Any) -> T:
        """What others send is theirs to get wrong: misread input is their error, not our bug."""
        try:
            return read(value)
        except ProviderError as e:
            raise _Passing(e) from e
        except (*_MISREAD, InvalidDocument, InvalidValue) as e:
            message = f"{self._endpoint.name} sent what we cannot read: {type(e).__name__}: {e}"
            raise _Passing(ProviderError(message)) from e

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise RuntimeError("open the model with `async with` first")
        return self._http


class _Passing(Exception):
    """A failure that another try may cure, `after` so many seconds if the server said so."""

    def __init__(self, error: MlxkError, after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.after = after


async def _beginning(response: aiohttp.ClientResponse, most: int) -> bytes:
    """So many bytes of a body, or all: what others send may have no end."""
    pieces, left = list[bytes](), most
    while left and (piece := await response.content.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _seconds(value: str | None) -> float | None:
    try:
        return max(0.0, float(value or ""))
    except ValueError:
        return None
