"""OpenAI's older completions of a raw prompt, both directions. No roles, no tools."""

from collections.abc import Iterator, Sequence
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
    TokenLogprob,
)
from mlxk.contract.errors import InvalidValue
from mlxk.wire import logprobs, openai
from mlxk.wire.frames import Asked, Format, Frame
from mlxk.wire.openai_chunks import ChunkDecoder, ChunkEncoder
from mlxk.wire.reading import bare_id, checked, keep_alive, refuse

_SCHEMA = "wire/openai_completions"
_ID = "cmpl-"
_DEFAULT_MAX_TOKENS = 16
_MOST = 256
_FINISH: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_use": "stop",
    "content_filter": "content_filter",
}
_REFUSED = {
    "suffix": "text is not filled in here",
    "echo": "the prompt is not repeated here",
}


def decode_request(body: Any) -> Asked:
    _refuse_many(body)
    body = checked(_SCHEMA, body)
    refuse(body, _REFUSED)
    prompts = _prompts(body["prompt"])
    choices = len(prompts) * (body.get("n") or 1)
    if choices > _MOST:
        raise InvalidValue(f"n: {choices} answers are asked for, {_MOST} at most", pointer="/n")
    options = body.get("stream_options") or {}
    request = Request(
        model=body.get("model") or "",
        messages=tuple(Message("user", (Text(p),)) for p in prompts if isinstance(p, str)),
        sampling=openai.decode_sampling(body),
        max_tokens=body.get("max_tokens") or _DEFAULT_MAX_TOKENS,
        stop=openai.decode_stop(body.get("stop")),
        ignore_eos=bool(body.get("ignore_eos")),
        top_logprobs=body.get("logprobs"),
    )
    return Asked(
        request,
        stream=bool(body.get("stream")),
        include_usage=bool(options.get("include_usage")),
        keep_alive_s=keep_alive(body),
        choices=choices,
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
    if request.top_logprobs is not None:
        body["logprobs"] = request.top_logprobs
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def encode_replies(replies: Sequence[Reply], asked: Asked, created: int) -> dict[str, Any]:
    choices = [
        _choice(
            i,
            reply.message.text,
            logprobs.encode_columns(reply.logprobs) if reply.logprobs else None,
            _FINISH[reply.reason],
        )
        for i, reply in enumerate(replies)
    ]
    usage = openai.encode_usage([reply.usage for reply in replies], len(asked.prompts) or 1)
    return {**_head(replies[0].id, replies[0].model, created), "choices": choices, "usage": usage}


def decode_reply(body: Any) -> Reply:
    choice = body["choices"][0]
    parts = (Text(choice["text"]),) if choice["text"] else ()
    usage = openai.decode_usage(body.get("usage") or {})
    reason = _reason(choice.get("finish_reason"))
    return Reply(
        bare_id(body, _ID),
        body.get("model") or "",
        Message("assistant", parts),
        reason,
        usage,
        logprobs=logprobs.decode_columns(choice.get("logprobs")),
    )


class Encoder(ChunkEncoder):
    """What a server sends: feed it the events of each choice, send the frames."""

    def __init__(self, asked: Asked, created: int) -> None:
        super().__init__(asked, created)
        self._written = [b""] * asked.choices

    def feed(self, event: Event, choice: int = 0) -> list[Frame]:
        match event:
            case TextDelta(text, measured):
                columns = self._columns(choice, measured)
                return [self._frame(_choice(choice, text, columns))]
            case Start(id, model):
                self._head = self._head or _head(id, model, self._created)
                return []
            case Finish(reason, usage):
                last = _choice(choice, "", finish=_FINISH[reason])
                return [self._frame(last), *self._tail(choice, usage)]
            case _:
                return []

    def _columns(self, choice: int, measured: tuple[TokenLogprob, ...]) -> dict[str, Any] | None:
        if not measured:
            return None
        columns = logprobs.encode_columns(measured, self._written[choice])
        self._written[choice] += b"".join(one.token for one in measured)
        return columns


class Decoder(ChunkDecoder):
    """What a client receives: feed it frames, take the events of the first choice."""

    prefix = _ID

    def _meant(self, reason: str) -> FinishReason:
        return _reason(reason)

    def _told(self, choice: dict[str, Any]) -> Iterator[Event]:
        measured = logprobs.decode_columns(choice.get("logprobs"))
        if choice.get("text") or measured:
            yield TextDelta(choice.get("text") or "", measured)


def _refuse_many(body: Any) -> None:
    """Counted before the schema is asked: what it says of thousands takes it seconds."""
    prompts = body.get("prompt") if isinstance(body, dict) else None
    if not isinstance(prompts, list):
        return
    if len(prompts) > _MOST and not all(isinstance(item, int | float) for item in prompts):
        message = f"prompt: {len(prompts)} prompts in one request, {_MOST} at most"
        raise InvalidValue(message, hint="send them in several requests", pointer="/prompt")
    for place, ids in enumerate(prompts):
        if isinstance(ids, list) and not all(isinstance(id, int | float) for id in ids):
            pointer = f"/prompt/{place}"
            raise InvalidValue(f"{pointer} holds more than token ids", pointer=pointer)


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
    return {"id": f"{_ID}{id}", "object": "text_completion", "created": created, "model": model}


def _choice(
    index: int, text: str, columns: dict[str, Any] | None = None, finish: str | None = None
) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": columns, "finish_reason": finish}


FORMAT = Format(
    decode_request=decode_request,
    encode_request=encode_request,
    encode_replies=encode_replies,
    decode_reply=decode_reply,
    encode_error=openai.encode_error,
    encoder=Encoder,
    decoder=Decoder,
)
