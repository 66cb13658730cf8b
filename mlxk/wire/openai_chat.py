"""OpenAI chat completions, both directions. Knows no socket, no clock and no model."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlxk.chat.fold import Reply
from mlxk.chat.types import (
    Event,
    Finish,
    FinishReason,
    Request,
    Start,
    TextDelta,
    ThinkingDelta,
    Tool,
    ToolChoice,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)
from mlxk.contract.errors import MlxkError, ProviderError
from mlxk.wire import openai
from mlxk.wire.frames import DONE, KEEP_ALIVE, Asked, Format, Frame
from mlxk.wire.openai_messages import (
    arguments_text,
    decode_message,
    encode_assistant,
    encode_message,
)
from mlxk.wire.reading import checked, in_call_order, refuse, shallow

_SCHEMA = "wire/openai_chat"
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
    "logprobs": "log-probabilities are not offered",
    "top_logprobs": "log-probabilities are not offered",
}


def decode_request(body: Any) -> Asked:
    body = checked(_SCHEMA, body)
    refuse(body, _REFUSED)
    options = body.get("stream_options") or {}
    request = Request(
        model=body.get("model") or "",
        messages=in_call_order(
            decode_message(m, f"/messages/{i}") for i, m in _each(body, "messages")
        ),
        tools=tuple(_tool(t, f"/tools/{i}") for i, t in _each(body, "tools")),
        tool_choice=_tool_choice(body.get("tool_choice")),
        sampling=openai.decode_sampling(body),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stop=openai.decode_stop(body.get("stop")),
        ignore_eos=bool(body.get("ignore_eos")),
        response_format=openai.decode_response_format(body.get("response_format") or {}),
        thinking=openai.decode_thinking(body),
    )
    return Asked(
        request,
        stream=bool(body.get("stream")),
        include_usage=bool(options.get("include_usage")),
        choices=body.get("n") or 1,
    )


def encode_request(request: Request, *, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [m for message in request.messages for m in encode_message(message)],
        **openai.encode_sampling(request.sampling),
        **request.extra.get("openai_chat", {}),
    }
    if request.tools:
        body["tools"] = [_tool_out(tool) for tool in request.tools]
        body["tool_choice"] = _tool_choice_out(request.tool_choice)
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    if request.ignore_eos:
        body["ignore_eos"] = True
    if request.response_format.kind != "text":
        body["response_format"] = openai.encode_response_format(request.response_format)
    if request.thinking is not None:
        body["reasoning_effort"] = "medium" if request.thinking else "none"
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def encode_replies(replies: Sequence[Reply], asked: Asked, created: int) -> dict[str, Any]:
    choices = [
        {
            "index": i,
            "message": encode_assistant(reply.message) | {"refusal": None},
            "logprobs": None,
            "finish_reason": _FINISH[reply.reason],
        }
        for i, reply in enumerate(replies)
    ]
    return {
        "id": replies[0].id,
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
    return Reply(body.get("id") or "", body.get("model") or "", message, reason, usage)


class Encoder:
    """What a server sends: feed it the events of each choice, send the frames."""

    heartbeat = KEEP_ALIVE

    def __init__(self, asked: Asked, created: int) -> None:
        self._asked = asked
        self._head: dict[str, Any] = {"object": "chat.completion.chunk", "created": created}
        self._calls = [-1] * asked.choices
        self._usages: list[Usage] = []

    def feed(self, event: Event, choice: int = 0) -> list[Frame]:
        match event:
            case TextDelta(text):
                return [self._chunk(choice, {"content": text})]
            case ThinkingDelta(text):
                return [self._chunk(choice, {"reasoning_content": text})] if text else []
            case Start(id, model):
                self._head = {"id": id, "model": model} | self._head
                return [self._chunk(choice, {"role": "assistant", "content": ""})]
            case ToolUseStart(id, name):
                self._calls[choice] += 1
                function = {"name": name, "arguments": ""}
                return [self._call(choice, id=id, type="function", function=function)]
            case ToolUseDelta(arguments):
                return [self._call(choice, function={"arguments": arguments})]
            case Finish(reason, usage):
                self._usages.append(usage)
                return [self._chunk(choice, {}, _FINISH[reason]), *self._tail()]

    def fail(self, error: MlxkError) -> list[Frame]:
        return [Frame(openai.encode_error(error, error.http_status)), DONE]

    def _tail(self) -> list[Frame]:
        if len(self._usages) < self._asked.choices:
            return []
        if not self._asked.include_usage:
            return [DONE]
        usage = openai.encode_usage(self._usages)
        return [Frame({**self._head, "choices": [], "usage": usage}), DONE]

    def _call(self, choice: int, **call: Any) -> Frame:
        return self._chunk(choice, {"tool_calls": [{"index": self._calls[choice], **call}]})

    def _chunk(self, index: int, delta: dict[str, Any], finish: str | None = None) -> Frame:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._head, "choices": [choice]}
        return Frame(chunk | {"usage": None} if self._asked.include_usage else chunk)


class Decoder:
    """What a client receives: feed it frames, take the events of the first choice."""

    def __init__(self) -> None:
        self._started = False
        self._call: int | None = None
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
        events = self._start(chunk)
        for choice in chunk.get("choices") or ():
            if not choice.get("index"):
                events += self._delta(choice.get("delta") or {})
                self._reason = choice.get("finish_reason") or self._reason
        return events

    def end(self) -> list[Event]:
        if self._reason is None or self._finished:
            return []
        self._finished = True
        return [Finish(_reason(self._reason, self._call is not None), self._usage)]

    def _start(self, chunk: dict[str, Any]) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [Start(chunk.get("id") or "", chunk.get("model") or "")]

    def _delta(self, delta: dict[str, Any]) -> Iterator[Event]:
        if text := delta.get("reasoning_content") or delta.get("reasoning"):
            yield ThinkingDelta(text)
        if text := delta.get("content") or delta.get("refusal"):
            yield TextDelta(text)
        for call in delta.get("tool_calls") or ():
            yield from self._tool_call(call)

    def _tool_call(self, call: dict[str, Any]) -> Iterator[Event]:
        """A new index, or a new id where a server sends no index, opens the next call."""
        function = call.get("function") or {}
        index = call.get("index")
        if index is None:
            opens = bool(call.get("id")) or self._call is None
            index = (self._call if self._call is not None else -1) + opens
        if self._call is None or index > self._call:
            self._call = index
            yield ToolUseStart(call.get("id") or f"call_{index}", function["name"])
        elif index < self._call:
            raise ProviderError("the pieces of two tool calls came mixed")
        if arguments := function.get("arguments"):
            yield ToolUseDelta(arguments_text(arguments))


def _each(body: dict[str, Any], name: str) -> Iterator[tuple[int, Any]]:
    return enumerate(body.get(name) or ())


def _tool(tool: dict[str, Any], at: str) -> Tool:
    function = tool["function"]
    parameters = shallow(function.get("parameters") or {}, f"{at}/function/parameters")
    return Tool(function["name"], function.get("description") or "", parameters)


def _tool_choice(choice: Any) -> ToolChoice:
    match choice:
        case {"function": {"name": str(name)}}:
            return ToolChoice("named", name)
        case "none" | "required" as mode:
            return ToolChoice(mode)
        case _:
            return ToolChoice()


def _reason(wire: str, called: bool) -> FinishReason:
    """Some servers say `stop` after tool calls; `error` is how one of them reports a failure."""
    if wire == "error":
        raise ProviderError("the answer ended with an error")
    reason = _REASON.get(wire, "stop")
    return "tool_use" if called and reason == "stop" else reason


def _tool_out(tool: Tool) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": function}


def _tool_choice_out(choice: ToolChoice) -> Any:
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


FORMAT = Format(
    decode_request=decode_request,
    encode_request=encode_request,
    encode_replies=encode_replies,
    decode_reply=decode_reply,
    encode_error=openai.encode_error,
    encoder=Encoder,
    decoder=Decoder,
)
