"""What an API's error status and body mean, in our own error vocabulary."""

import re
from functools import cache

from mlxk.contract import encoding
from mlxk.contract.errors import (
    ContextLengthExceeded,
    InvalidDocument,
    MlxkError,
    ModelNotFound,
    ProviderAuth,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    RequestTimeout,
)
from mlxk.providers.endpoints import Endpoint
from mlxk.wire.openai import message_of

# The header in which our own servers name an error.
OWN_ERROR = "Mlxk-Error"
_TOO_LONG = re.compile(
    r"context[ _]length|maximum context|prompt is too long|input token count.*exceeds",
    re.IGNORECASE,
)
_UNKNOWN_MODEL = re.compile(r"model", re.IGNORECASE)


def refusal(
    endpoint: Endpoint, status: int, body: bytes, own: str | None = None
) -> tuple[MlxkError, bool]:
    """The error, and whether another try may help. `own`: what a server of ours calls it."""
    message, code = _told(body)
    if endpoint.key:
        message = message.replace(endpoint.key, "[key]")
    if own is not None and status not in (401, 403) and (known := _classes().get(own)):
        return known(message, status=status), known.retryable
    said = f"{endpoint.name} says {status}: {message}"
    match status:
        case 401 | 403:
            hint = f"check {endpoint.key_variable}"
            return ProviderAuth(said, hint=hint, status=status), False
        case 429:
            return ProviderRateLimited(said, status=status), code != "insufficient_quota"
        case 408 | 504:
            return RequestTimeout(said, status=status), True
        case 404 if _UNKNOWN_MODEL.search(message):
            return ModelNotFound(said, status=status), False
        case _ if status < 500 and (_TOO_LONG.search(message) or _TOO_LONG.search(code)):
            return ContextLengthExceeded(said, status=status), False
        case _ if status < 500 and status != 409:
            return ProviderRefused(said, status=status), False
        case _:
            return ProviderError(said, status=status), True


@cache
def _classes() -> dict[str, type[MlxkError]]:
    found, rest = {}, MlxkError.__subclasses__()
    while rest:
        each = rest.pop()
        found[each.type] = each
        rest += each.__subclasses__()
    return found


def _told(body: bytes) -> tuple[str, str]:
    """The sentence and the code of an error body; any body, or none, is possible."""
    text = body[:2000].decode("utf-8", "replace").strip() or "no reason given"
    try:
        value = encoding.loads(body)
    except InvalidDocument:
        return text, ""
    if isinstance(value, list) and value:
        value = value[0]
    error = value.get("error", value) if isinstance(value, dict) else None
    if error is None:
        return text, ""
    code = error.get("code") if isinstance(error, dict) else None
    return message_of(error), str(code or "")
