"""A streamed answer as OpenAI's Responses write it, both directions."""

from collections.abc import Iterator
from typing import Any

from mlxk.chat.types import (
    Event,
    Finish,
    Part,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
    ToolUse,
    ToolUseDelta,
    ToolUseStart,
)
from mlxk.contract.errors import MlxkError, ProviderError
from mlxk.wire import logprobs, openai
from mlxk.wire.frames import KEEP_ALIVE, Asked, Frame, ToolKind
from mlxk.wire.openai_items import custom_input, decode_output, flat, output_item
from mlxk.wire.openai_response import (
    PREFIX,
    decode_usage,
    encode_usage,
    ended,
    measured_of,
    opening,
    raise_failed,
    reason_of,
)
from mlxk.wire.reading import bare_id

_RETRIED = {429: "rate_limit_exceeded", 503: "server_error"}
_TEXT, _THOUGHT = Text(""), Thinking("")


class Encoder:
    """What a server sends: items that open, grow and close; the last event holds them all."""

    def __init__(self, asked: Asked, created: int) -> None:
        self._asked = asked
        self._created = created
        self._number = -1
        self._answer = ""
        self._head: dict[str, Any] = {}
        self._items: list[dict[str, Any]] = []
        self._open: Part | None = None
        self._id = ""
        self._texts: list[str] = []
        self._signature: str | None = None
        self._measured: list[TokenLogprob] = []

    @property
    def heartbeat(self) -> Frame:
        """Comments do not reset its command line's clock; before the first event nothing else may
        be sent."""
        if not self._head:
            return KEEP_ALIVE
        return self._frame("response.in_progress", response=self._head)

    def feed(self, event: Event, choice: int = 0) -> list[Frame]:
        match event:
            case TextDelta(text, measured):
                frames = self._grown(_TEXT, text)
                self._measured += measured
                told = {"logprobs": logprobs.encode(measured)}
                return [*frames, self._delta("output_text", text, **self._place, **told)]
            case ThinkingDelta(text, signature):
                frames = self._grown(_THOUGHT, text, signature)
                if not text:
                    return frames
                return [*frames, self._delta("reasoning_text", text, **self._place)]
            case ToolUseStart(id, name):
                return self._grown(ToolUse(id, name, ""))
            case ToolUseDelta(arguments):
                return self._argued(arguments)
            case Start(id, model):
                self._answer, self._head = id, opening(id, model, self._asked, self._created)
                names = ("response.created", "response.in_progress")
                return [self._frame(name, response=self._head) for name in names]
            case Finish(reason, usage):
                closing = self._closed()
                end = ended(reason) | {"output": self._items, "usage": encode_usage(usage)}
                last = f"response.{end['status']}"
                return [*closing, self._frame(last, response=self._head | end)]

    def fail(self, error: MlxkError) -> list[Frame]:
        status = error.http_status
        told = openai.encode_error(error, status)["error"]
        code = _RETRIED.get(status) or (told["code"] if status < 500 else "server_error")
        if not self._head:
            return [self._frame("error", code=code, message=told["message"], param=None)]
        failed = {"status": "failed", "error": {"code": code, "message": told["message"]}}
        return [self._frame("response.failed", response=self._head | failed)]

    def _grown(self, piece: Part, text: str = "", signature: str | None = None) -> list[Frame]:
        """Lengthen the open item, or open one of the piece's kind."""
        frames: list[Frame] = []
        if isinstance(piece, ToolUse) or type(piece) is not type(self._open):
            frames = [*self._closed(), *self._opened(piece)]
        self._texts.append(text)
        self._signature = signature or self._signature
        return frames

    def _opened(self, part: Part) -> Iterator[Frame]:
        self._open, self._texts, self._signature, self._measured = part, [], None, []
        item = output_item(part, f"{self._answer}_{self._index}", self._asked.kinds)
        self._id = item["id"]
        begun = item | {"status": "in_progress"}
        if isinstance(part, ToolUse):
            yield self._frame("response.output_item.added", item=begun, output_index=self._index)
            return
        begun["content"] = []
        yield self._frame("response.output_item.added", item=begun, output_index=self._index)
        content = item["content"][0]
        yield self._frame(
            "response.content_part.added", item_id=self._id, part=content, **self._place
        )

    def _argued(self, arguments: str) -> list[Frame]:
        if not isinstance(self._open, ToolUse):
            return []
        self._texts.append(arguments)
        if self._kind(self._open).custom:
            return []
        return [self._delta("function_call_arguments", arguments, output_index=self._index)]

    def _closed(self) -> list[Frame]:
        if self._open is None:
            return []
        part = _filled(self._open, "".join(self._texts), self._signature)
        id = f"{self._answer}_{self._index}"
        item = output_item(part, id, self._asked.kinds, self._measured)
        frames = list(self._told(item, part))
        done = self._frame("response.output_item.done", item=item, output_index=self._index)
        self._items.append(item)
        self._open = None
        return [*frames, done]

    def _told(self, item: dict[str, Any], part: Part) -> Iterator[Frame]:
        """The whole of an item, under the names of its kind."""
        place: dict[str, Any] = {"item_id": item["id"], "output_index": self._index}
        match part:
            case ToolUse(_, _, arguments) if self._kind(part).custom:
                text = custom_input(arguments)
                name = "response.custom_tool_call_input"
                yield self._frame(f"{name}.delta", delta=text, **place)
                yield self._frame(f"{name}.done", input=text, **place)
            case ToolUse(_, _, arguments):
                name = "response.function_call_arguments.done"
                yield self._frame(name, arguments=arguments, name=item["name"], **place)
            case Text(text) | Thinking(text):
                kind = "output_text" if isinstance(part, Text) else "reasoning_text"
                place |= {"content_index": 0}
                content = item["content"][0]
                told = {"logprobs": content["logprobs"]} if isinstance(part, Text) else {}
                yield self._frame(f"response.{kind}.done", text=text, **told, **place)
                yield self._frame("response.content_part.done", part=content, **place)

    def _delta(self, kind: str, delta: str, **more: Any) -> Frame:
        return self._frame(f"response.{kind}.delta", item_id=self._id, delta=delta, **more)

    @property
    def _index(self) -> int:
        return len(self._items)

    @property
    def _place(self) -> dict[str, Any]:
        return {"output_index": self._index, "content_index": 0}

    def _kind(self, use: ToolUse) -> ToolKind:
        return self._asked.kinds.get(use.name) or ToolKind(use.name)

    def _frame(self, type_: str, **data: Any) -> Frame:
        self._number += 1
        return Frame({"type": type_, "sequence_number": self._number, **data}, event=type_)


class Decoder:
    """What a client receives: feed it frames, take the events."""

    def __init__(self) -> None:
        self._told: set[int] = set()
        self._begun: set[int] = set()
        self._finish: Finish | None = None

    def feed(self, frame: Frame) -> list[Event]:
        data = frame.data or {}
        index = data.get("output_index", 0)
        match data.get("type"):
            case "response.created":
                response = data["response"]
                return [Start(bare_id(response, PREFIX), response.get("model") or "")]
            case "response.output_item.added":
                return self._added(data["item"], index)
            case "response.output_item.done":
                return self._done(data["item"], index)
            case "response.completed" | "response.incomplete" | "response.failed":
                return self._ended(data["response"])
            case "error":
                raise ProviderError(openai.message_of(data.get("error") or data))
            case _:
                return self._delta(data, index)

    def end(self) -> list[Event]:
        return []

    def _added(self, item: dict[str, Any], index: int) -> list[Event]:
        if item.get("type") != "function_call":
            return []
        self._begun.add(index)
        return [ToolUseStart(item["call_id"], flat(item["name"], item.get("namespace")))]

    def _delta(self, data: dict[str, Any], index: int) -> list[Event]:
        event: Event
        match data:
            case {"type": "response.output_text.delta" | "response.refusal.delta"}:
                event = TextDelta(data["delta"], logprobs.decode(data.get("logprobs")))
            case {
                "type": "response.reasoning_text.delta" | "response.reasoning_summary_text.delta"
            }:
                event = ThinkingDelta(data["delta"])
            case {"type": "response.function_call_arguments.delta"}:
                event = ToolUseDelta(data["delta"])
            case _:
                return []
        self._told.add(index)
        return [event]

    def _done(self, item: dict[str, Any], index: int) -> list[Event]:
        """Some servers send an item only whole; a custom tool's call always comes so."""
        parts = decode_output([item]).parts
        if item.get("type") == "reasoning" and item.get("encrypted_content"):
            text = (
                ""
                if index in self._told
                else "".join(p.text for p in parts if isinstance(p, Thinking))
            )
            return [ThinkingDelta(text, item["encrypted_content"])]
        if index in self._told:
            return []
        return [event for part in parts for event in self._whole(part, item, index)]

    def _whole(self, part: Part, item: dict[str, Any], index: int) -> Iterator[Event]:
        match part:
            case Text(text):
                yield TextDelta(text, tuple(measured_of(item)))
            case Thinking(text):
                yield ThinkingDelta(text)
            case ToolUse(id, name, arguments):
                if index not in self._begun:
                    self._begun.add(index)
                    yield ToolUseStart(id, name)
                yield ToolUseDelta(arguments)

    def _ended(self, response: dict[str, Any]) -> list[Event]:
        raise_failed(response)
        usage = decode_usage(response.get("usage") or {})
        return [Finish(reason_of(response, bool(self._begun)), usage)]


def _filled(part: Part, text: str, signature: str | None) -> Part:
    match part:
        case ToolUse(id, name):
            return ToolUse(id, name, text)
        case Thinking():
            return Thinking(text, signature)
        case _:
            return Text(text)
