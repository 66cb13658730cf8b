"""Answers as Gemini writes them, whole and streamed, both directions."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from mlxk.chat.fold import Reply
from mlxk.chat.types import (
    Event,
    Finish,
    FinishReason,
    Message,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
    ToolUse,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)
from mlxk.contract.errors import ContextLengthExceeded, MlxkError, ProviderError
from mlxk.wire import logprobs
from mlxk.wire.frames import Asked, Frame
from mlxk.wire.gemini_contents import decode_parts, encode_parts
from mlxk.wire.openai import message_of
from mlxk.wire.reading import with_hint

_FINISH: dict[FinishReason, str] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_use": "STOP",
    "content_filter": "SAFETY",
}
_FILTERED = {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"}
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def encode_replies(replies: Sequence[Reply], asked: Asked, created: int) -> dict[str, Any]:
    candidates = [
        _candidate(i, encode_parts(reply.message.parts), reply.reason, reply.logprobs)
        for i, reply in enumerate(replies)
    ]
    return {
        "candidates": candidates,
        "usageMetadata": _usage_out([reply.usage for reply in replies]),
        "modelVersion": replies[0].model,
        "responseId": replies[0].id,
    }


def decode_reply(body: Any) -> Reply:
    candidate = body["candidates"][0]
    parts = decode_parts((candidate.get("content") or {}).get("parts") or (), count())
    message = Message("assistant", tuple(p for p in parts if p != Text("")))
    reason = _reason(candidate.get("finishReason") or "STOP", bool(message.tool_uses))
    usage = _usage(body.get("usageMetadata") or {})
    return Reply(
        body.get("responseId") or "",
        body.get("modelVersion") or "",
        message,
        reason,
        usage,
        logprobs=logprobs.decode_candidates(candidate.get("logprobsResult")),
    )


def encode_error(error: MlxkError, status: int) -> dict[str, Any]:
    name = _STATUS.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")
    return {"error": {"code": status, "message": _sentence(error), "status": name}}


class Encoder:
    """What a server sends. A call goes out whole: this API has no pieces of arguments."""

    def __init__(self, asked: Asked, created: int) -> None:
        self._choices = asked.choices
        self._head: dict[str, Any] = {}
        self._calls: list[ToolUse | None] = [None] * asked.choices
        self._usages: list[Usage] = []

    @property
    def heartbeat(self) -> Frame:
        """Its command line takes a comment for a broken stream, but an empty text for nothing."""
        return self._chunk(0, [{"text": ""}])

    def feed(self, event: Event, choice: int = 0) -> list[Frame]:
        match event:
            case TextDelta(text, measured):
                return [*self._call(choice), self._chunk(choice, [{"text": text}], measured)]
            case ThinkingDelta(text, signature):
                parts = encode_parts([Thinking(text, signature)])
                return [*self._call(choice), self._chunk(choice, parts)]
            case ToolUseStart(id, name):
                before = self._call(choice)
                self._calls[choice] = ToolUse(id, name, "")
                return before
            case ToolUseDelta(arguments):
                if use := self._calls[choice]:
                    self._calls[choice] = ToolUse(use.id, use.name, use.arguments + arguments)
                return []
            case Start(id, model):
                self._head = self._head or {"modelVersion": model, "responseId": id}
                return []
            case Finish(reason, usage):
                self._usages.append(usage)
                usages = _usage_out(self._usages) if len(self._usages) == self._choices else None
                last = _candidate(choice, [{"text": ""}], reason)
                chunk = {"candidates": [last], **self._head}
                tail = chunk | {"usageMetadata": usages} if usages else chunk
                return [*self._call(choice), Frame(tail)]

    def fail(self, error: MlxkError) -> list[Frame]:
        return [Frame(encode_error(error, error.http_status))]

    def _call(self, choice: int) -> list[Frame]:
        use, self._calls[choice] = self._calls[choice], None
        return [self._chunk(choice, encode_parts([use]))] if use else []

    def _chunk(
        self,
        choice: int,
        parts: list[dict[str, Any]],
        measured: Sequence[TokenLogprob] = (),
    ) -> Frame:
        candidate = _candidate(choice, parts, measured=measured)
        return Frame({"candidates": [candidate], **self._head})


class Decoder:
    """What a client receives: feed it frames, take the events of the first candidate."""

    def __init__(self) -> None:
        self._started = False
        self._called = False
        self._numbers = count()
        self._reason: str | None = None
        self._usage = Usage()
        self._finished = False

    def feed(self, frame: Frame) -> list[Event]:
        chunk = frame.data or {}
        if error := chunk.get("error"):
            raise ProviderError(message_of(error))
        if usage := chunk.get("usageMetadata"):
            self._usage = _usage(usage)
        told = list(self._candidate(chunk))
        return [*self._start(chunk, told), *told]

    def end(self) -> list[Event]:
        """The API has no last word: a reason to finish, then the end of the bytes."""
        if self._reason is None or self._finished:
            return []
        self._finished = True
        return [Finish(_reason(self._reason, self._called), self._usage)]

    def _start(self, chunk: dict[str, Any], told: Sequence[Event]) -> Iterator[Event]:
        """What keeps a connection open before the answer begins names none."""
        if not self._started and (chunk.get("responseId") or told or self._reason):
            self._started = True
            yield Start(chunk.get("responseId") or "", chunk.get("modelVersion") or "")

    def _candidate(self, chunk: dict[str, Any]) -> Iterator[Event]:
        for candidate in chunk.get("candidates") or ():
            if not candidate.get("index"):
                content = candidate.get("content") or {}
                measured = logprobs.decode_candidates(candidate.get("logprobsResult"))
                for event in self._parts(content.get("parts") or ()):
                    if isinstance(event, TextDelta):
                        event, measured = TextDelta(event.text, measured), ()
                    yield event
                self._reason = candidate.get("finishReason") or self._reason

    def _parts(self, parts: Sequence[dict[str, Any]]) -> Iterator[Event]:
        for part in decode_parts(parts, self._numbers):
            match part:
                case Text(text) if text:
                    yield TextDelta(text)
                case Thinking(text, signature):
                    yield ThinkingDelta(text, signature)
                case ToolUse(id, name, arguments):
                    self._called = True
                    yield ToolUseStart(id, name)
                    yield ToolUseDelta(arguments)


def _candidate(
    index: int,
    parts: list[dict[str, Any]],
    reason: FinishReason | None = None,
    measured: Sequence[TokenLogprob] = (),
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": index}
    if measured:
        average = sum(one.logprob for one in measured) / len(measured)
        candidate["avgLogprobs"] = average
        candidate["logprobsResult"] = logprobs.encode_candidates(measured)
    return candidate | {"finishReason": _FINISH[reason]} if reason else candidate


def _reason(wire: str, called: bool) -> FinishReason:
    if wire == "MAX_TOKENS":
        return "length"
    if wire in _FILTERED:
        return "content_filter"
    if wire == "MALFORMED_FUNCTION_CALL":
        raise ProviderError("the model wrote a malformed function call")
    return "tool_use" if called else "stop"


def _usage_out(usages: Sequence[Usage]) -> dict[str, int]:
    prompt = max(usage.prompt_tokens for usage in usages)
    said = sum(usage.completion_tokens for usage in usages)
    thought = sum(usage.reasoning_tokens for usage in usages)
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": said - thought,
        "thoughtsTokenCount": thought,
        "totalTokenCount": prompt + said,
        "cachedContentTokenCount": max(usage.cached_tokens for usage in usages),
    }


def _usage(usage: dict[str, Any]) -> Usage:
    thoughts = usage.get("thoughtsTokenCount") or 0
    return Usage(
        usage.get("promptTokenCount") or 0,
        (usage.get("candidatesTokenCount") or 0) + thoughts,
        usage.get("cachedContentTokenCount") or 0,
        reasoning_tokens=thoughts,
    )


def _sentence(error: MlxkError) -> str:
    match error, error.details:
        case ContextLengthExceeded(), {"prompt_tokens": got, "context_length": limit}:
            return (
                f"The input token count ({got}) exceeds the maximum number of tokens allowed "
                f"({limit})."
            )
        case _:
            return with_hint(error)
