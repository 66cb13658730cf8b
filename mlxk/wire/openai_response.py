"""Answers as OpenAI's Responses write them, whole and streamed, both directions."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlxk.chat.fold import Reply
from mlxk.chat.types import FinishReason, Text, TokenLogprob, Usage
from mlxk.contract.errors import ProviderError
from mlxk.wire import logprobs, openai
from mlxk.wire.frames import Asked
from mlxk.wire.openai_items import decode_output, output_item
from mlxk.wire.reading import bare_id

PREFIX = "resp_"
_CUT: dict[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


def encode_replies(replies: Sequence[Reply], asked: Asked, created: int) -> dict[str, Any]:
    """All log-probabilities stand at the first text, as in `unfold`."""
    reply = replies[0]
    parts = reply.message.parts
    first = next((i for i, part in enumerate(parts) if isinstance(part, Text)), None)
    items = [
        output_item(part, f"{reply.id}_{i}", asked.kinds, reply.logprobs if i == first else ())
        for i, part in enumerate(parts)
    ]
    head = opening(reply.id, reply.model, asked, created)
    return {**head, **ended(reply.reason), "output": items, "usage": encode_usage(reply.usage)}


def decode_reply(body: Any) -> Reply:
    raise_failed(body)
    message = decode_output(body["output"])
    reason = reason_of(body, bool(message.tool_uses))
    usage = decode_usage(body.get("usage") or {})
    return Reply(
        bare_id(body, PREFIX),
        body.get("model") or "",
        message,
        reason,
        usage,
        logprobs=tuple(one for item in body["output"] for one in measured_of(item)),
    )


def measured_of(item: dict[str, Any]) -> Iterator[TokenLogprob]:
    """The log-probabilities in a finished item."""
    content = item.get("content")
    for part in content if isinstance(content, list) else ():
        yield from logprobs.decode(part.get("logprobs"))


def raise_failed(response: dict[str, Any]) -> None:
    if response.get("status") == "failed":
        raise ProviderError(openai.message_of(response.get("error") or "the answer failed"))


def reason_of(response: dict[str, Any], called: bool) -> FinishReason:
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details") or {}
        return "content_filter" if details.get("reason") == "content_filter" else "length"
    return "tool_use" if called else "stop"


def opening(id: str, model: str, asked: Asked, created: int) -> dict[str, Any]:
    request, echoed = asked.request, asked.echoed
    head: dict[str, Any] = {
        "id": f"{PREFIX}{id}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": request.max_tokens,
        "model": model,
        "output": [],
        "parallel_tool_calls": not asked.one_call,
        "previous_response_id": asked.previous,
        "reasoning": {"effort": None, "summary": None},
        "store": asked.kept,
        "temperature": request.sampling.temperature,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": request.sampling.top_p,
        "truncation": "disabled",
        "usage": None,
        "metadata": {},
    }
    for name, value in echoed.items():
        head[name] = {**head[name], **value} if name in ("reasoning", "text") else value
    return head


def ended(reason: FinishReason) -> dict[str, Any]:
    if reason in _CUT:
        return {"status": "incomplete", "incomplete_details": {"reason": _CUT[reason]}}
    return {"status": "completed"}


def encode_usage(usage: Usage) -> dict[str, Any]:
    """Its command line takes a usage without the details for a broken answer."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def decode_usage(usage: dict[str, Any]) -> Usage:
    details = usage.get("input_tokens_details") or {}
    made = usage.get("output_tokens_details") or {}
    return Usage(
        usage.get("input_tokens") or 0,
        usage.get("output_tokens") or 0,
        details.get("cached_tokens") or 0,
        reasoning_tokens=made.get("reasoning_tokens") or 0,
    )
