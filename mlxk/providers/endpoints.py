"""The APIs that can answer instead of our engine: one row each. Keys come by environment only."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from mlxk.contract.errors import InvalidValue, ProviderAuth
from mlxk.wire import openai_chat
from mlxk.wire.frames import Format

OWN_KEY = "MLXK_API_KEY"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`base` is the URL before `path`; `rename` maps our body's names to those it insists on.

    `key` goes into the header `key_header` after `key_prefix`, nowhere else.
    """

    name: str
    base: str
    path: str
    format: Format
    key_variable: str
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    rename: Mapping[str, str] = field(default_factory=dict)
    key: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"{self.base}{self.path}"

    def headers(self) -> dict[str, str]:
        return {self.key_header: f"{self.key_prefix}{self.key}"} if self.key else {}

    def body(self, body: dict[str, Any]) -> dict[str, Any]:
        return {self.rename.get(name, name): value for name, value in body.items()}


ENDPOINTS = {
    row.name: row
    for row in (
        Endpoint(
            "openai",
            "https://api.openai.com/v1",
            "/chat/completions",
            openai_chat.FORMAT,
            "OPENAI_API_KEY",
            rename={"max_tokens": "max_completion_tokens"},
        ),
    )
}


def endpoint(name: str, url: str | None = None, env: Mapping[str, str] = os.environ) -> Endpoint:
    """A row of the table with its key; `url` points it at another server of the same format."""
    if name not in ENDPOINTS:
        raise InvalidValue(f"no API is called {name!r}", hint=f"one of {', '.join(ENDPOINTS)}")
    row = ENDPOINTS[name]
    key = env.get(row.key_variable)
    if url is not None:
        return replace(row, base=_base(url), rename={}, key=env.get(OWN_KEY) or key)
    if not key:
        hint = f"export {row.key_variable}=…, or name a server with --url"
        raise ProviderAuth(f"{name} asks for a key: {row.key_variable} is not set", hint=hint)
    return replace(row, key=key)


def _base(url: str) -> str:
    """`http://host:8000`, with or without `/v1`, or the whole path of the route."""
    try:
        parts = urlsplit(url)
    except ValueError as e:
        raise InvalidValue(f"{url!r} is not a URL: {e}") from e
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidValue(f"{url!r} is not an http URL", hint="http://127.0.0.1:8000/v1")
    base = url.rstrip("/").removesuffix("/chat/completions")
    return base if urlsplit(base).path.strip("/") else f"{base}/v1"
