"""OpenAI chat completions, both directions. Knows no socket, no clock and no model."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlxk.chat.fold import Reply
from mlxk.chat.types import (
    Event,
    Finish,
    FinishReason,
    Request,
    ResponseFormat,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
    ToolUseDelta,
    ToolUseStart,
)
from mlxk.contract.errors import InvalidValue, ProviderError
from mlxk.wire import logprobs, openai
from mlxk.wire.frames import Asked, Format, Frame
from mlxk.wire.openai_chunks import ChunkDecoder, ChunkEncoder
from mlxk.wire.openai_messages import (
    arguments_text,
    decode_content,
    decode_message,
    encode_assistant,
    encode_message,
)
from mlxk.wire.openai_tools import (
    decode_tool,
    decode_tool_choice,
    encode_tool,
    encode_tool_choice,
    offered,
)
from mlxk.wire.reading import bare_id, checked, in_call_order, keep_alive, refuse, text_only

_SCHEMA = "wire/openai_chat"
_ID = "chatcmpl-"
_FINISH: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
}
_REASON: dict[str, FinishReason] = {
    **{wire: reason for reason, wire in _FINISH.items()},
    "function_call": "tool_use",
}
_REFUSED = {
    "functions": "use `tools` instead",
    "function_call": "use `tool_choice` instead",
    "audio": "this server makes no audio",
    "web_search_options": "this server searches no web",
}


def decode_request(body: Any) -> Asked:
    body = checked(_SCHEMA, body)
    refuse(body, _REFUSED)
    text_only(body, "modalities")
    options = body.get("stream_options") or {}
    request = Request(
        model=body.get("model") or "",
        messages=in_call_order(
            decode_message(m, f"/messages/{i}") for i, m in _each(body, "messages")
        ),
        tools=offered(tuple(map(decode_tool, body.get("tools") or ())), body.get("tool_choice")),
        tool_choice=decode_tool_choice(body.get("tool_choice")),
        sampling=openai.decode_sampling(body),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stop=openai.decode_stop(body.get("stop")),
        ignore_eos=bool(body.get("ignore_eos")),
        prediction=openai.decode_prediction(body.get("prediction")),
        response_format=_response_format(body),
        top_logprobs=_top_logprobs(body),
        thinking=openai.decode_thinking(body),
        effort=openai.decode_effort(body.get("reasoning_effort")),
        template_options=body.get("chat_template_kwargs") or {},
    )
    return Asked(
        request,
        stream=bool(body.get("stream")),
        include_usage=bool(options.get("include_usage")),
        keep_alive_s=keep_alive(body),
        choices=body.get("n") or 1,
        one_call=body.get("parallel_tool_calls") is False,
    )


def encode_request(request: Request, *, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [m for message in request.messages for m in encode_message(message)],
        **openai.encode_sampling(request.sampling),
        **request.extra.get("openai_chat", {}),
    }
    optional: dict[str, Any] = {
        "max_tokens": request.max_tokens,
        "stop": list(request.stop) or None,
        "ignore_eos": request.ignore_eos or None,
        "reasoning_effort": openai.effort_of(request),
        "chat_template_kwargs": request.template_options or None,
    }
    if request.tools:
        optional["tools"] = [encode_tool(tool) for tool in request.tools]
        optional["tool_choice"] = encode_tool_choice(request.tool_choice)
    if request.response_format.kind != "text":
        optional["response_format"] = openai.encode_response_format(request.response_format)
    if request.top_logprobs is not None:
        optional |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    if request.prediction is not None:
        optional["prediction"] = {"type": "content", "content": request.prediction}
    if stream:
        optional |= {"stream": True, "stream_options": {"include_usage": True}}
    return body | {name: value for name, value in optional.items() if value is not None}


def encode_replies(replies: Sequence[Reply], asked: Asked, created: int) -> dict[str, Any]:
    choices = [
        {
            "index": i,
            "message": encode_assistant(reply.message) | {"refusal": None},
            "logprobs": _measures(reply.logprobs),
            "finish_reason": _FINISH[reply.reason],
        }
        for i, reply in enumerate(replies)
    ]
    return {
        "id": f"{_ID}{replies[0].id}",
        "object": "chat.completion",
        "created": created,
        "model": replies[0].model,
        "choices": choices,
        "usage": openai.encode_usage([reply.usage for reply in replies]),
    }


def decode_reply(body: Any) -> Reply:
    choice = body["choices"][0]
    message = decode_message(choice["message"], "/choices/0/message")
    usage = openai.decode_usage(body.get("usage") or {})
    reason = _reason(choice.get("finish_reason") or "stop", bool(message.tool_uses))
    return Reply(
        bare_id(body, _ID),
        body.get("model") or "",
        message,
        reason,
        usage,
        logprobs=_measured(choice),
    )


class Encoder(ChunkEncoder):
    """What a server sends: feed it the events of each choice, send the frames."""

    def __init__(self, asked: Asked, created: int) -> None:
        super().__init__(asked, created)
        self._calls = [-1] * asked.choices

    def feed(self, event: Event, choice: int = 0) -> list[Frame]:
        match event:
            case TextDelta(text, measured):
                return [self._chunk(choice, {"content": text}, measured=measured)]
            case ThinkingDelta(text):
                return [self._chunk(choice, {"reasoning_content": text})] if text else []
            case Start(id, model):
                kind = "chat.completion.chunk"
                head = {"id": f"{_ID}{id}", "model": model, "object": kind}
                self._head = self._head or head | {"created": self._created}
                return [self._chunk(choice, {"role": "assistant", "content": ""})]
            case ToolUseStart(id, name):
                self._calls[choice] += 1
                function = {"name": name, "arguments": ""}
                return [self._call(choice, id=id, type="function", function=function)]
            case ToolUseDelta(arguments):
                return [self._call(choice, function={"arguments": arguments})]
            case Finish(reason, usage):
                return [self._chunk(choice, {}, _FINISH[reason]), *self._tail(choice, usage)]

    def _call(self, choice: int, **call: Any) -> Frame:
        return self._chunk(choice, {"tool_calls": [{"index": self._calls[choice], **call}]})

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        finish: str | None = None,
        measured: tuple[TokenLogprob, ...] = (),
    ) -> Frame:
        logprobs = _measures(measured)
        return self._frame(
            {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        )


class Decoder(ChunkDecoder):
    """What a client receives: feed it frames, take the events of the first choice."""

    prefix = _ID

    def __init__(self) -> None:
        super().__init__()
        self._call: int | None = None
        self._id: str | None = None
        self._calls = 0

    def _meant(self, reason: str) -> FinishReason:
        return _reason(reason, self._call is not None)

    def _told(self, choice: dict[str, Any]) -> Iterator[Event]:
        delta = choice.get("delta") or {}
        measured = _measured(choice)
        if text := delta.get("reasoning_content") or delta.get("reasoning"):
            yield ThinkingDelta(text)
        for part in decode_content(delta.get("content") or delta.get("refusal"), "/delta/content"):
            match part:
                case Text(text):
                    yield TextDelta(text, measured)
                    measured = ()
                case Thinking(text):
                    yield ThinkingDelta(text)
        if measured:
            yield TextDelta("", measured)
        for call in delta.get("tool_calls") or ():
            yield from self._tool_call(call)

    def _tool_call(self, call: dict[str, Any]) -> Iterator[Event]:
        """A new index opens the next call, or a new id: some servers send no index, or always 0."""
        function, id = call.get("function") or {}, call.get("id")
        index = call.get("index")
        if index is None:
            index = self._call or 0
        if self._call is None or index > self._call or (id and id != self._id):
            self._call, self._id = index, id
            self._calls += 1
            yield ToolUseStart(id or f"call_{self._calls - 1}", function["name"])
        elif index < self._call:
            raise ProviderError("the pieces of two tool calls came mixed")
        if arguments := function.get("arguments"):
            yield ToolUseDelta(arguments_text(arguments))


def _response_format(body: dict[str, Any]) -> ResponseFormat:
    at = "/response_format/json_schema/schema"
    return openai.decode_response_format(body.get("response_format") or {}, at)


def _each(body: dict[str, Any], name: str) -> Iterator[tuple[int, Any]]:
    return enumerate(body.get(name) or ())


def _top_logprobs(body: dict[str, Any]) -> int | None:
    if not body.get("logprobs"):
        if body.get("top_logprobs"):
            raise InvalidValue("top_logprobs goes with logprobs: true", pointer="/top_logprobs")
        return None
    return body.get("top_logprobs") or 0


def _measures(measured: Sequence[TokenLogprob]) -> dict[str, Any] | None:
    return {"content": logprobs.encode(measured), "refusal": None} if measured else None


def _measured(choice: dict[str, Any]) -> tuple[TokenLogprob, ...]:
    return logprobs.decode((choice.get("logprobs") or {}).get("content"))


def _reason(wire: str, called: bool) -> FinishReason:
    """Some servers say `stop` after tool calls; `error` is how one of them reports a failure."""
    if wire == "error":
        raise ProviderError("the answer ended with an error")
    reason = _REASON.get(wire, "stop")
    return "tool_use" if called and reason == "stop" else reason


FORMAT = Format(
    decode_request=decode_request,
    encode_request=encode_request,
    encode_replies=encode_replies,
    decode_reply=decode_reply,
    encode_error=openai.encode_error,
    encoder=Encoder,
    decoder=Decoder,
)
