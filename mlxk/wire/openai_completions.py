"""OpenAI's older completions of a raw prompt, both directions. No roles, no tools."""

from collections.abc import Sequence
from typing import Any

from mlxk.chat.fold import Reply
from mlxk.chat.types import (
    Event,
    Finish,
    FinishReason,
    Message,
    Request,
    Start,
    Text,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from mlxk.contract.errors import MlxkError, ProviderError
from mlxk.wire import openai
from mlxk.wire.frames import DONE, KEEP_ALIVE, Asked, Format, Frame
from mlxk.wire.reading import checked, refuse

_SCHEMA = "wire/openai_completions"
_DEFAULT_MAX_TOKENS = 16
_FINISH: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_use": "stop",
    "content_filter": "content_filter",
}
_REFUSED = {
    "suffix": "text is not filled in here",
    "echo": "the prompt is not repeated here",
    "logprobs": "log-probabilities are not offered",
}


def decode_request(body: Any) -> Asked:
    body = checked(_SCHEMA, body)
    refuse(body, _REFUSED)
    prompts = _prompts(body["prompt"])
    options = body.get("stream_options") or {}
    request = Request(
        model=body.get("model") or "",
        messages=tuple(Message("user", (Text(p),)) for p in prompts if isinstance(p, str)),
        sampling=openai.decode_sampling(body),
        max_tokens=body.get("max_tokens") or _DEFAULT_MAX_TOKENS,
        stop=openai.decode_stop(body.get("stop")),
        ignore_eos=bool(body.get("ignore_eos")),
    )
    return Asked(
        request,
        stream=bool(body.get("stream")),
        include_usage=bool(options.get("include_usage")),
        choices=len(prompts) * (body.get("n") or 1),
        prompts=prompts,
    )


def encode_request(request: Request, *, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "prompt": "".join(message.text for message in request.messages),
        **openai.encode_sampling(request.sampling),
        **request.extra.get("openai_completions", {}),
    }
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    if request.ignore_eos:
        body["ignore_eos"] = True
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def encode_replies(replies: Sequence[Reply], asked: Asked, created: int) -> dict[str, Any]:
    choices = [
        _choice(i, reply.message.text, _FINISH[reply.reason]) for i, reply in enumerate(replies)
    ]
    usage = openai.encode_usage([reply.usage for reply in replies])
    return {**_head(replies[0].id, replies[0].model, created), "choices": choices, "usage": usage}


def decode_reply(body: Any) -> Reply:
    choice = body["choices"][0]
    parts = (Text(choice["text"]),) if choice["text"] else ()
    usage = openai.decode_usage(body.get("usage") or {})
    reason = _reason(choice.get("finish_reason"))
    message = Message("assistant", parts)
    return Reply(body.get("id") or "", body.get("model") or "", message, reason, usage)


class Encoder:
    """What a server sends: feed it the events of each choice, send the frames."""

    heartbeat = KEEP_ALIVE

    def __init__(self, asked: Asked, created: int) -> None:
        self._asked = asked
        self._created = created
        self._head: dict[str, Any] = {}
        self._usages: list[Usage] = []

    def feed(self, event: Event, choice: int = 0) -> list[Frame]:
        match event:
            case TextDelta(text) | ThinkingDelta(text):
                return [Frame({**self._head, "choices": [_choice(choice, text)]})]
            case Start(id, model):
                self._head = self._head or _head(id, model, self._created)
                return []
            case Finish(reason, usage):
                self._usages.append(usage)
                last = Frame({**self._head, "choices": [_choice(choice, "", _FINISH[reason])]})
                return [last, *self._tail()]
            case _:
                return []

    def fail(self, error: MlxkError) -> list[Frame]:
        return [Frame(openai.encode_error(error, error.http_status)), DONE]

    def _tail(self) -> list[Frame]:
        if len(self._usages) < self._asked.choices:
            return []
        if not self._asked.include_usage:
            return [DONE]
        usage = openai.encode_usage(self._usages)
        return [Frame({**self._head, "choices": [], "usage": usage}), DONE]


class Decoder:
    """What a client receives: feed it frames, take the events of the first choice."""

    def __init__(self) -> None:
        self._started = False
        self._reason: str | None = None
        self._usage = Usage()
        self._finished = False

    def feed(self, frame: Frame) -> list[Event]:
        if (chunk := frame.data) is None:
            return self.end()
        if error := chunk.get("error"):
            raise ProviderError(openai.message_of(error))
        if usage := chunk.get("usage"):
            self._usage = openai.decode_usage(usage)
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(Start(chunk.get("id") or "", chunk.get("model") or ""))
        for choice in chunk.get("choices") or ():
            if not choice.get("index"):
                self._reason = choice.get("finish_reason") or self._reason
                events += [TextDelta(choice["text"])] if choice.get("text") else []
        return events

    def end(self) -> list[Event]:
        if self._reason is None or self._finished:
            return []
        self._finished = True
        return [Finish(_reason(self._reason), self._usage)]


def _prompts(prompt: Any) -> tuple[str | tuple[int, ...], ...]:
    """A text, several, a list of token ids, or several of those."""
    if isinstance(prompt, str):
        return (prompt,)
    if all(isinstance(item, int | float) for item in prompt):
        return (_ids(prompt),)
    return tuple(item if isinstance(item, str) else _ids(item) for item in prompt)


def _ids(numbers: list[float]) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers)


def _reason(wire: str | None) -> FinishReason:
    return "length" if wire == "length" else "stop"


def _head(id: str, model: str, created: int) -> dict[str, Any]:
    return {"id": id, "object": "text_completion", "created": created, "model": model}


def _choice(index: int, text: str, finish: str | None = None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


FORMAT = Format(
    decode_request=decode_request,
    encode_request=encode_request,
    encode_replies=encode_replies,
    decode_reply=decode_reply,
    encode_error=openai.encode_error,
    encoder=Encoder,
    decoder=Decoder,
)
