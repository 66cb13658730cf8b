"""What the formats share when they read and write. Knows none of them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mlxk.chat.types import Image, Message, Tool, ToolResult
from mlxk.contract import encoding, registry
from mlxk.contract.errors import InvalidDocument, InvalidValue, MlxkError
from mlxk.contract.notes import note
from mlxk.contract.validate import require
from mlxk.system.clock import seconds

_DEPTH = 100
# What a header can carry of parameters that nobody knows: so many, so many letters of each.
_NAMED, _NAME = 16, 64


def checked(
    schema: str, body: Any, renamed: Callable[[Any], Any] = lambda body: body
) -> dict[str, Any]:
    """`body` if it obeys its published schema. Parameters unknown to it leave a note."""
    _bounded(body)
    body = renamed(body)
    require(schema, body, "request")
    request: dict[str, Any] = whole(body)
    ignore(request.keys() - registry.load(schema)["properties"].keys())
    return request


def ignore(names: Iterable[str], at: str = "") -> None:
    """A note about each parameter that nobody knows."""
    unknown = sorted(names)
    for name in unknown[:_NAMED]:
        said = f"the parameter {name[:_NAME]!r} is unknown and was ignored"
        note("ignored_parameter", said, f"{at}/{name[:_NAME]}")
    if rest := len(unknown[_NAMED:]):
        note("ignored_parameter", f"{rest} more parameters are unknown and were ignored")


def whole(values: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema takes 15.0 for an integer; Python does not."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in values.items()
    }


def refuse(body: dict[str, Any], reasons: dict[str, str], at: str = "") -> None:
    """Parameters that would change the answer are refused rather than ignored."""
    for name, reason in reasons.items():
        if body.get(name):
            raise InvalidValue(f"{name}: {reason}", pointer=f"{at}/{name}")


def text_only(body: dict[str, Any], name: str, at: str = "") -> None:
    """In which ways an answer may come: no other than ours."""
    if any(way.lower() != "text" for way in body.get(name) or ()):
        raise InvalidValue(f"{name}: this server answers with text", pointer=f"{at}/{name}")


def allowed(tools: Iterable[Tool], names: Iterable[str]) -> tuple[Tool, ...]:
    """The tools of which a choice may be made, where a request offers more of them."""
    wanted = frozenset(names)
    return tuple(tool for tool in tools if tool.name in wanted)


def unreadable(kind: str) -> str:
    """A tool's result is text; a picture in it is named, since a session must be able to go on."""
    return f"[{kind} that this model cannot read]"


def bare_id(holder: dict[str, Any], prefix: str) -> str:
    """The id of an answer without what a format writes before every one."""
    return str(holder.get("id") or "").removeprefix(prefix)


def keep_alive(body: dict[str, Any], name: str = "keep_alive") -> float | None:
    """How long the model is to stay after this request, as Ollama's clients say it."""
    if (given := body.get(name)) is None:
        return None
    try:
        return seconds(given)
    except InvalidValue as e:
        raise InvalidValue(f"{name}: {e}", hint=e.hint, pointer=f"/{name}") from e


def with_hint(error: MlxkError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)


def unsupported_part(kind: object, pointer: str) -> InvalidValue:
    return InvalidValue(f"content of type {kind!r} is not supported at {pointer}", pointer=pointer)


def image(url: str) -> Image:
    """A `data:` URL becomes its media type and base64 text."""
    if not url.startswith("data:"):
        return Image(url=url)
    head, _, data = url.removeprefix("data:").partition(",")
    return Image(head.removesuffix(";base64") or None, data)


def image_url(picture: Image) -> str:
    if picture.url is not None:
        return picture.url
    return f"data:{picture.media_type or ''};base64,{picture.data or ''}"


def arguments_of(text: str) -> dict[str, Any]:
    """A call's arguments where the API wants an object, even where a model wrote none."""
    try:
        value = encoding.loads(text or "{}")
    except InvalidDocument:
        return {"arguments": text}
    return value if isinstance(value, dict) else {"arguments": text}


def in_call_order(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Neighbouring tool messages become one, its results in the order of the calls they answer.

    Some clients send results as they finish; templates without ids pair them by position.
    """
    out: list[Message] = []
    for message in messages:
        if message.role == "tool" and out and out[-1].role == "tool":
            out[-1] = Message("tool", (*out[-1].parts, *message.parts))
        else:
            out.append(message)
    calls: tuple[str, ...] = ()
    for i, message in enumerate(out):
        if message.role == "assistant":
            calls = tuple(use.id for use in message.tool_uses)
        elif message.role == "tool":
            out[i] = _sorted(message, calls)
    return tuple(out)


def _sorted(message: Message, calls: Sequence[str]) -> Message:
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    if len(results) != len(message.parts) or len(results) < 2:
        return message
    place = {id: n for n, id in enumerate(calls)}
    results.sort(key=lambda result: place.get(result.tool_use_id, len(place)))
    return Message("tool", tuple(results))


def _bounded(body: Any) -> None:
    """What is nested without end would break whoever walks it later: templates, grammars."""
    level = [body]
    for _ in range(_DEPTH):
        level = [
            child
            for holder in level
            if isinstance(holder, dict | list)
            for child in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if not level:
            return
    raise InvalidValue(f"the request is nested too deeply: more than {_DEPTH} levels")
