"""Answers as Anthropic writes them, whole and streamed, both directions."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlxk.chat.fold import Reply
from mlxk.chat.types import (
    Event,
    Finish,
    FinishReason,
    Start,
    TextDelta,
    ThinkingDelta,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)
from mlxk.contract.encoding import dumps
from mlxk.contract.errors import ContextLengthExceeded, MlxkError, ProviderError
from mlxk.wire.anthropic_messages import UNSIGNED, decode_content, encode_content, signature_of
from mlxk.wire.frames import Asked, Frame
from mlxk.wire.openai import message_of
from mlxk.wire.reading import arguments_of, bare_id, with_hint

_ID = "msg_"
_STOP: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_use": "tool_use",
    "content_filter": "refusal",
}
_REASON: dict[str, FinishReason] = {
    **{wire: reason for reason, wire in _STOP.items()},
    "model_context_window_exceeded": "length",
}
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def encode_replies(replies: Sequence[Reply], asked: Asked, created: int) -> dict[str, Any]:
    reply = replies[0]
    return {
        "id": f"{_ID}{reply.id}",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": encode_content(reply.message.parts),
        **_stopped(reply.reason, reply.stop),
        "usage": _usage_out(reply.usage),
    }


def decode_reply(body: Any) -> Reply:
    stop = body.get("stop_sequence")
    message = decode_content("assistant", body["content"])
    reason = _REASON.get(body.get("stop_reason"), "stop")
    usage = _usage(body.get("usage") or {})
    return Reply(bare_id(body, _ID), body.get("model") or "", message, reason, usage, stop)


def encode_error(error: MlxkError, status: int) -> dict[str, Any]:
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": _sentence(error)}}


class Encoder:
    """What a server sends: blocks that open and close around their deltas. A call's input goes out
    whole: clients parse it as they get it, and what a model wrote may be no JSON."""

    heartbeat = Frame({"type": "ping"}, "ping")

    def __init__(self, asked: Asked, created: int) -> None:
        self._index = -1
        self._open: str | None = None
        self._signature = UNSIGNED
        self._arguments = ""

    def feed(self, event: Event, choice: int = 0) -> list[Frame]:
        match event:
            case TextDelta(text):
                opening = self._enter("text", text="")
                return [*opening, self._delta(type="text_delta", text=text)]
            case ThinkingDelta(text, signature):
                opening = self._enter("thinking", thinking="", signature="")
                self._signature = signature or self._signature
                return [*opening, self._delta(type="thinking_delta", thinking=text)]
            case ToolUseStart(id, name):
                return [*self._leave(), *self._enter("tool_use", id=id, name=name, input={})]
            case ToolUseDelta(arguments):
                self._arguments += arguments
                return []
            case Start(id, model):
                return [_frame("message_start", message=_opening(id, model))]
            case Finish(reason, usage, stop):
                delta = _stopped(reason, stop)
                last = _frame("message_delta", delta=delta, usage=_usage_out(usage))
                return [*self._leave(), last, _frame("message_stop")]

    def fail(self, error: MlxkError) -> list[Frame]:
        return [Frame(encode_error(error, error.http_status), "error")]

    def _enter(self, kind: str, **start: Any) -> list[Frame]:
        if self._open == kind:
            return []
        closing = self._leave()
        self._index += 1
        self._open = kind
        block = {"type": kind, **start}
        return [*closing, _frame("content_block_start", index=self._index, content_block=block)]

    def _leave(self) -> list[Frame]:
        """Clients take a thinking block without a signature for a broken stream."""
        if self._open is None:
            return []
        last = []
        if self._open == "thinking":
            last = [self._delta(type="signature_delta", signature=self._signature)]
        if self._open == "tool_use":
            text = dumps(arguments_of(self._arguments)).decode()
            last = [self._delta(type="input_json_delta", partial_json=text)]
        self._open, self._signature, self._arguments = None, UNSIGNED, ""
        return [*last, _frame("content_block_stop", index=self._index)]

    def _delta(self, **delta: str) -> Frame:
        return _frame("content_block_delta", index=self._index, delta=delta)


class Decoder:
    """What a client receives: feed it frames, take the events."""

    def __init__(self) -> None:
        self._usage: dict[str, Any] = {}
        self._delta: dict[str, Any] = {}
        self._finished = False

    def feed(self, frame: Frame) -> list[Event]:
        data = frame.data or {}
        match data.get("type"):
            case "message_start":
                message = data["message"]
                self._count(message)
                return [Start(bare_id(message, _ID), message.get("model") or "")]
            case "content_block_start":
                return list(_block(data["content_block"]))
            case "content_block_delta":
                return list(_piece(data["delta"]))
            case "message_delta":
                self._count(data)
                self._delta |= data["delta"]
            case "message_stop":
                return self.end()
            case "error":
                raise ProviderError(message_of(data.get("error")))
        return []

    def end(self) -> list[Event]:
        reason = self._delta.get("stop_reason")
        if reason is None or self._finished:
            return []
        self._finished = True
        stop = self._delta.get("stop_sequence")
        return [Finish(_REASON.get(reason, "stop"), _usage(self._usage), stop)]

    def _count(self, holder: dict[str, Any]) -> None:
        usage = holder.get("usage") or {}
        self._usage |= {name: count for name, count in usage.items() if count is not None}


def _block(block: dict[str, Any]) -> Iterator[Event]:
    match block:
        case {"type": "tool_use", "id": str(id), "name": str(name)}:
            yield ToolUseStart(id, name)
            if block.get("input"):
                yield ToolUseDelta(dumps(block["input"]).decode())
        case {"type": "text", "text": str(text)} if text:
            yield TextDelta(text)


def _piece(delta: dict[str, Any]) -> Iterator[Event]:
    match delta:
        case {"type": "text_delta", "text": str(text)}:
            yield TextDelta(text)
        case {"type": "thinking_delta", "thinking": str(text)}:
            yield ThinkingDelta(text)
        case {"type": "signature_delta", "signature": str(signature)}:
            yield ThinkingDelta("", signature_of(signature))
        case {"type": "input_json_delta", "partial_json": str(arguments)} if arguments:
            yield ToolUseDelta(arguments)


def _opening(id: str, model: str) -> dict[str, Any]:
    return {
        "id": f"{_ID}{id}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage_out(Usage()),
    }


def _stopped(reason: FinishReason, stop: str | None) -> dict[str, Any]:
    by_text = reason == "stop" and stop is not None
    return {
        "stop_reason": "stop_sequence" if by_text else _STOP[reason],
        "stop_sequence": stop if by_text else None,
    }


def _usage_out(usage: Usage) -> dict[str, int]:
    """Here `input_tokens` are those that no cache held."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }


def _usage(usage: dict[str, Any]) -> Usage:
    fresh, made = usage.get("input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    cached = usage.get("cache_read_input_tokens") or 0
    return Usage(fresh + made + cached, usage.get("output_tokens") or 0, cached)


def _sentence(error: MlxkError) -> str:
    """Clients look for these words to know that they must shorten the conversation."""
    match error, error.details:
        case ContextLengthExceeded(), {"prompt_tokens": got, "context_length": limit}:
            return f"prompt is too long: {got} tokens > {limit} maximum"
        case _:
            return with_hint(error)


def _frame(type_: str, **data: Any) -> Frame:
    return Frame({"type": type_, **data}, event=type_)
