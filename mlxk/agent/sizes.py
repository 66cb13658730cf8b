"""How large a request is, and how large one may be: in tokens where the model can count."""

from dataclasses import dataclass

from mlxk.chat.model import ChatModel, Measured
from mlxk.chat.types import Request
from mlxk.contract import encoding
from mlxk.contract.errors import ContextLengthExceeded, MlxkError


@dataclass(frozen=True, slots=True)
class Size:
    """`tokens` is None when the model cannot count; `bytes` are of messages and tools as JSON."""

    tokens: int | None
    bytes: int


async def size(model: ChatModel, request: Request) -> Size:
    """A model that cannot be used says so when it is asked, not here."""
    try:
        tokens = await model.count_tokens(request) if isinstance(model, Measured) else None
    except MlxkError:
        tokens = None
    return Size(tokens, size_in_bytes(request))


def size_in_bytes(request: Request) -> int:
    return len(encoding.dumps((request.messages, request.tools)))


async def require_room(model: ChatModel, request: Request) -> None:
    """ContextLengthExceeded when the request fills the context, where the model can tell."""
    limit = await context_limit(model)
    tokens = (await size(model, request)).tokens
    if limit is not None and tokens is not None and tokens >= limit:
        raise ContextLengthExceeded(
            f"the prompt has {tokens} tokens, the model's context is {limit}",
            hint="a shorter prompt, or a --model with a larger context",
            prompt_tokens=tokens,
            context_length=limit,
        )


async def context_limit(model: ChatModel) -> int | None:
    """Tokens of prompt and answer together, where known."""
    return await model.context_length() if isinstance(model, Measured) else None
