"""The APIs that can answer instead of our engine: one row each. Keys come by environment only."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlsplit

from mlxk.contract.errors import InvalidValue, ProviderAuth
from mlxk.wire import anthropic, gemini, openai_chat, openai_responses
from mlxk.wire.frames import Format

OWN_KEY = "MLXK_API_KEY"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`base` is the URL before `path`, in which `{model}` stands for the model's name.

    `key` goes into the header `key_header` after `key_prefix`, nowhere else. `rename` maps the
    names in our body to those that the API insists on. `model`, when given, is asked for
    whatever a request says.
    """

    name: str
    base: str
    path: str
    format: Format
    key_variable: str
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    more_headers: Mapping[str, str] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    key: str | None = field(default=None, repr=False)
    model: str | None = None

    def url(self, model: str) -> str:
        return f"{self.base}{self.path.replace('{model}', quote(model, safe='/'))}"

    def headers(self) -> dict[str, str]:
        key = {self.key_header: f"{self.key_prefix}{self.key}"} if self.key else {}
        return {**self.more_headers, **key}

    def body(self, body: dict[str, Any]) -> dict[str, Any]:
        return {self.rename.get(name, name): value for name, value in body.items()}


_CHAT = "/chat/completions"
ENDPOINTS = {
    row.name: row
    for row in (
        Endpoint(
            "openai",
            "https://api.openai.com/v1",
            _CHAT,
            openai_chat.FORMAT,
            "OPENAI_API_KEY",
            rename={"max_tokens": "max_completion_tokens"},
        ),
        Endpoint(
            "anthropic",
            "https://api.anthropic.com/v1",
            "/messages",
            anthropic.FORMAT,
            "ANTHROPIC_API_KEY",
            key_header="x-api-key",
            key_prefix="",
            more_headers={"anthropic-version": "2023-06-01"},
        ),
        Endpoint(
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta",
            "/models/{model}:streamGenerateContent?alt=sse",
            gemini.FORMAT,
            "GEMINI_API_KEY",
            key_header="x-goog-api-key",
            key_prefix="",
        ),
        Endpoint(
            "codex",
            "https://api.openai.com/v1",
            "/responses",
            openai_responses.FORMAT,
            "OPENAI_API_KEY",
        ),
        Endpoint(
            "deepseek",
            "https://api.deepseek.com/v1",
            _CHAT,
            openai_chat.FORMAT,
            "DEEPSEEK_API_KEY",
        ),
        Endpoint(
            "openrouter",
            "https://openrouter.ai/api/v1",
            _CHAT,
            openai_chat.FORMAT,
            "OPENROUTER_API_KEY",
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
        return replace(row, base=_base(url, row), rename={}, key=env.get(OWN_KEY))
    if not key:
        hint = f"export {row.key_variable}=…, or name a server with --url"
        raise ProviderAuth(f"{name} asks for a key: {row.key_variable} is not set", hint=hint)
    return replace(row, key=key)


def _base(url: str, row: Endpoint) -> str:
    """`http://host:8000`, with or without the version, or the whole path of the route."""
    try:
        parts = urlsplit(url)
    except ValueError as e:
        raise InvalidValue(f"{url!r} is not a URL: {e}") from e
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidValue(f"{url!r} is not an http URL", hint="http://127.0.0.1:8000/v1")
    base = url.rstrip("/").removesuffix(row.path)
    version = row.base.rpartition("/")[2]
    return base if urlsplit(base).path.strip("/") else f"{base}/{version}"
