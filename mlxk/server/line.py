"""To one process of a deployment, in the format in which the question came. Starts nothing."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from mlxk.contract import encoding
from mlxk.contract.errors import ProviderError
from mlxk.providers.client import Patience, RemoteModel
from mlxk.providers.endpoints import ENDPOINTS, Endpoint
from mlxk.providers.refusals import OWN_ERROR, refusal
from mlxk.server.record import PASSAGE
from mlxk.wire import anthropic, gemini, openai_completions
from mlxk.wire.frames import Format

# Whoever asks us may ask somebody else next: it is for the chain to try again, not for a line.
_ONCE = Patience(tries=1)
_CHAT = replace(ENDPOINTS["openai"], rename={})
_RAW = replace(_CHAT, path="/completions", format=openai_completions.FORMAT)
# What chat completions cannot carry, these can: which stop string was met, failed tool calls.
_OWN = {id(anthropic.FORMAT): ENDPOINTS["anthropic"], id(gemini.FORMAT): ENDPOINTS["gemini"]}
_ASK_S = 30.0
_LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class Where:
    """`pid` tells one process from the next; `is_own`: it is mlxk, and speaks every format.

    `model` is its name there; None: whatever it says it serves.
    """

    url: str
    key: str | None
    pid: int
    model: str | None = None
    is_own: bool = True
    is_stale: bool = False


class Line:
    """Connections to one process; `close` ends them."""

    def __init__(self, name: str, where: Where) -> None:
        self.where = where
        self._name = name
        self._stack = AsyncExitStack()
        self._http: aiohttp.ClientSession | None = None
        self._models: dict[int, RemoteModel] = {}
        self._served: dict[str, Any] | None = None

    async def close(self) -> None:
        await self._stack.aclose()

    async def chat(self) -> RemoteModel:
        passage = PASSAGE.get()
        native = _OWN.get(id(passage.form)) if passage and self.where.is_own else None
        return await self._model(native or _CHAT)

    async def raw(self) -> RemoteModel:
        return await self._model(_RAW)

    async def count(self, form: Format, body: dict[str, Any]) -> int:
        if form is anthropic.FORMAT:
            return int((await self.post("/v1/messages/count_tokens", body))["input_tokens"])
        return int((await self.post("/v1/responses/input_tokens", body))["input_tokens"])

    async def model(self) -> str:
        if self.where.model is not None:
            return self.where.model
        return str((await self._row())["id"])

    async def context_length(self) -> int:
        return int((await self._row()).get("context_length") or 0)

    async def health(self) -> dict[str, Any] | None:
        """None: it does not answer, or not yet that it is ready."""
        try:
            return await self._asked("GET", "/health", None, _LOOK_S)
        except ProviderError:
            return None

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._asked("POST", path, body, _ASK_S)

    async def _row(self) -> dict[str, Any]:
        known = self._served
        if known is None or "context_length" not in known:
            listed = await self._asked("GET", "/v1/models", None, _ASK_S)
            known = self._served = dict(listed["data"][0])
        return known

    async def _model(self, row: Endpoint) -> RemoteModel:
        key = id(row.format)
        if key not in self._models:
            version = row.base.rpartition("/")[2]
            base = f"{self.where.url}/{version}"
            there = replace(row, name=self._name, base=base, key=self.where.key)
            model = RemoteModel(there, patience=_ONCE, more_headers=_passed_on)
            self._models[key] = model
            await self._stack.enter_async_context(model)
        return self._models[key]

    async def _asked(
        self, method: str, path: str, body: dict[str, Any] | None, timeout_s: float
    ) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", **_passed_on()}
        headers |= {"Authorization": f"Bearer {self.where.key}"} if self.where.key else {}
        data = None if body is None else encoding.dumps(body)
        limit = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._session.request(
                method, f"{self.where.url}{path}", data=data, headers=headers, timeout=limit
            ) as response:
                said = await response.read()
        except (TimeoutError, aiohttp.ClientError) as e:
            raise ProviderError(f"{self._name} does not answer: {e or 'in time'}") from e
        if response.status != 200:
            own = response.headers.get(OWN_ERROR)
            there = replace(_CHAT, name=self._name, key=self.where.key)
            raise refusal(there, response.status, said, own)[0]
        value: dict[str, Any] = encoding.loads(said, f"the answer of {self._name}")
        return value

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession()
            self._stack.push_async_callback(self._http.close)
        return self._http


def _passed_on() -> Mapping[str, str]:
    passage = PASSAGE.get()
    return {"X-Request-Id": passage.id} if passage is not None else {}
