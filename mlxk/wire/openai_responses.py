"""OpenAI Responses: requests, both directions. Knows no socket, no clock and no model."""

from collections.abc import Iterator
from typing import Any

from mlxk.chat.types import Request, Sampling, Tool, ToolChoice
from mlxk.contract.errors import InvalidValue
from mlxk.contract.notes import note
from mlxk.wire import openai
from mlxk.wire.frames import Asked, Format, ToolKind
from mlxk.wire.openai_items import decode_input, encode_input, flat
from mlxk.wire.openai_response import decode_reply, encode_replies
from mlxk.wire.openai_response_events import Decoder, Encoder
from mlxk.wire.reading import allowed, checked, in_call_order, keep_alive, refuse

_SCHEMA = "wire/openai_responses"
_REFUSED = {
    "background": "answers are not made in the background here",
    "conversation": "use `previous_response_id` instead",
    "prompt": "prompts are not kept here",
}
_ECHOED = (
    "instructions",
    "max_tool_calls",
    "metadata",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "user",
)
_MEASURED = "message.output_text.logprobs"
_CUSTOM_PARAMETERS = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}


def decode_request(body: Any) -> Asked:
    body = checked(_SCHEMA, body)
    refuse(body, _REFUSED)
    if body.get("input") is None and not body.get("previous_response_id"):
        raise InvalidValue("there is no input", pointer="/input")
    effort = (body.get("reasoning") or {}).get("effort")
    tools = list(_tools(body.get("tools") or ()))
    request = Request(
        model=body.get("model") or "",
        messages=in_call_order(decode_input(body.get("instructions"), body.get("input"))),
        tools=_offered(tuple(tool for tool, _ in tools), body.get("tool_choice")),
        tool_choice=_tool_choice(body.get("tool_choice")),
        sampling=Sampling(body.get("temperature"), body.get("top_p")),
        max_tokens=body.get("max_output_tokens"),
        stop=openai.decode_stop(body.get("stop")),
        response_format=openai.decode_response_format(_format(body), "/text/format/schema"),
        top_logprobs=_top_logprobs(body),
        thinking=openai.thinks(effort),
        effort=openai.decode_effort(effort),
    )
    return Asked(
        request,
        stream=bool(body.get("stream")),
        kinds={tool.name: kind for tool, kind in tools},
        previous=body.get("previous_response_id"),
        kept=body.get("store") is not False,
        instructed=bool(body.get("instructions")),
        keep_alive_s=keep_alive(body),
        one_call=body.get("parallel_tool_calls") is False,
        echoed={name: body[name] for name in _ECHOED if body.get(name) is not None},
    )


def encode_request(request: Request, *, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "input": encode_input(request.messages),
        "store": False,
        "stream": stream,
    }
    optional: dict[str, Any] = {
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "max_output_tokens": request.max_tokens,
        "stop": list(request.stop) or None,
    }
    if request.tools:
        optional["tools"] = [_tool_out(tool) for tool in request.tools]
        optional["tool_choice"] = _tool_choice_out(request.tool_choice)
    if request.response_format.kind != "text":
        form = openai.encode_response_format(request.response_format)
        optional["text"] = {"format": {"type": form["type"], **form.get("json_schema", {})}}
    if request.top_logprobs is not None:
        optional |= {"include": [_MEASURED], "top_logprobs": request.top_logprobs}
    if (effort := openai.effort_of(request)) is not None:
        optional["reasoning"] = {"effort": effort}
    body |= {name: value for name, value in optional.items() if value is not None}
    body |= request.extra.get("openai_responses", {})
    return body


def _tools(tools: Any, namespace: str | None = None) -> Iterator[tuple[Tool, ToolKind]]:
    """Namespaces are flattened for the model; what OpenAI itself would run is left out."""
    for tool in tools:
        name = tool.get("name") or tool["type"]
        described = tool.get("description") or ""
        match tool["type"]:
            case "function":
                parameters = tool.get("parameters") or {}
                yield (
                    Tool(flat(name, namespace), described, parameters),
                    ToolKind(name, namespace),
                )
            case "custom":
                yield (
                    Tool(flat(name, namespace), described, _CUSTOM_PARAMETERS),
                    ToolKind(name, namespace, custom=True),
                )
            case "namespace":
                yield from _tools(tool.get("tools") or (), name)
            case _:
                note("ignored_tool", f"the tool {name!r} does not run here and was left out")


def _tool_out(tool: Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": False,
    }


def _tool_choice(choice: Any) -> ToolChoice:
    match choice:
        case {"type": "allowed_tools", "mode": str(mode)}:
            return ToolChoice("required" if mode == "required" else "auto")
        case {"name": str(name)}:
            return ToolChoice("named", flat(name, choice.get("namespace")))
        case "none" | "required" as mode:
            return ToolChoice(mode)
        case _:
            return ToolChoice()


def _offered(tools: tuple[Tool, ...], choice: Any) -> tuple[Tool, ...]:
    match choice:
        case {"type": "allowed_tools", "tools": list(names)}:
            return allowed(tools, (flat(each["name"], each.get("namespace")) for each in names))
        case _:
            return tools


def _tool_choice_out(choice: ToolChoice) -> Any:
    if choice.mode == "named":
        return {"type": "function", "name": choice.name}
    return choice.mode


def _format(body: dict[str, Any]) -> dict[str, Any]:
    """Here the parts of a schema lie beside its type, not below it."""
    form = (body.get("text") or {}).get("format") or {}
    return {**form, "json_schema": form}


def _top_logprobs(body: dict[str, Any]) -> int | None:
    """Asked for by naming them among what to include, or by their number alone."""
    wanted: int = body.get("top_logprobs") or 0
    return wanted if wanted or _MEASURED in (body.get("include") or ()) else None


FORMAT = Format(
    decode_request=decode_request,
    encode_request=encode_request,
    encode_replies=encode_replies,
    decode_reply=decode_reply,
    encode_error=openai.encode_error,
    encoder=Encoder,
    decoder=Decoder,
)
