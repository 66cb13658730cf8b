"""Ask a server how it is, over plain HTTP. Light enough for a supervisor. Knows no document."""

import http.client
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument

_LARGEST = 1 << 16


@dataclass(frozen=True, slots=True)
class Target:
    """Where a deployment listens, and the key that its API asks for."""

    host: str
    port: int
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is the JSON object that came, if one came."""

    status: int
    seconds: float
    body: dict[str, Any] | None

    @property
    def is_good(self) -> bool:
        return self.status == 200

    @property
    def is_idle(self) -> bool:
        """Unloaded for want of requests: the next one loads it."""
        return self.body is not None and self.body.get("phase") == "idle"


def get(target: Target, path: str, timeout_s: float = 5.0) -> Answer | None:
    """None: no answer in time, or nobody listens."""
    return _ask(target, "GET", path, None, timeout_s)


def complete(target: Target, model: str, timeout_s: float) -> Answer | None:
    """Ask for one token: the one proof that a token can be made."""
    body = {"model": model, "prompt": "1", "max_tokens": 1, "temperature": 0}
    return _ask(target, "POST", "/v1/completions", encoding.dumps(body), timeout_s)


def _ask(
    target: Target, method: str, path: str, body: bytes | None, timeout_s: float
) -> Answer | None:
    began = time.monotonic()
    headers = {"Connection": "close"}
    headers |= {"Content-Type": "application/json"} if body else {}
    headers |= {"Authorization": f"Bearer {target.key}"} if target.key else {}
    connection = http.client.HTTPConnection(target.host, target.port, timeout=timeout_s)
    with closing(connection):
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            data = reply.read(_LARGEST)
        except (OSError, http.client.HTTPException):
            return None
    return Answer(reply.status, time.monotonic() - began, _object(data))


def _object(data: bytes) -> dict[str, Any] | None:
    with suppress(InvalidDocument):
        value = encoding.loads(data)
        return value if isinstance(value, dict) else None
    return None
