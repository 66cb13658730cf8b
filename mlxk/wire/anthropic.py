"""Anthropic messages: requests, both directions. Knows no socket, no clock and no model."""

from collections.abc import Iterator
from typing import Any

from mlxk.chat.types import (
    Request,
    ResponseFormat,
    Sampling,
    Tool,
    ToolChoice,
)
from mlxk.contract.errors import InvalidValue
from mlxk.contract.notes import note
from mlxk.wire.anthropic_answers import (
    Decoder,
    Encoder,
    decode_reply,
    encode_error,
    encode_replies,
)
from mlxk.wire.anthropic_messages import (
    decode_message,
    decode_system,
    encode_messages,
    referenced,
)
from mlxk.wire.frames import Asked, Format
from mlxk.wire.reading import checked, in_call_order, keep_alive, refuse

_SCHEMA = "wire/anthropic"
_DEFAULT_MAX_TOKENS = 8192
_REFUSED = {"mcp_servers": "this server calls no MCP servers; `tools` are called by its clients"}
_MODES = {"any": "required", "none": "none"}


def decode_request(body: Any) -> Asked:
    body = checked(_SCHEMA, body)
    refuse(body, _REFUSED)
    messages = [
        *decode_system(body.get("system"), "/system"),
        *(m for i, turn in enumerate(body["messages"]) for m in decode_message(turn, i)),
    ]
    thinking = body.get("thinking")
    request = Request(
        model=body.get("model") or "",
        messages=in_call_order(messages),
        tools=tuple(_tools(body)),
        tool_choice=_tool_choice(body.get("tool_choice") or {}),
        sampling=Sampling(body.get("temperature"), body.get("top_p"), body.get("top_k") or None),
        max_tokens=body.get("max_tokens"),
        stop=tuple(text for text in body.get("stop_sequences") or () if text),
        response_format=_response_format(body),
        thinking=None if thinking is None else thinking.get("type") != "disabled",
        effort=(body.get("output_config") or {}).get("effort"),
    )
    return Asked(
        request,
        stream=bool(body.get("stream")),
        keep_alive_s=keep_alive(body),
        one_call=bool((body.get("tool_choice") or {}).get("disable_parallel_tool_use")),
    )


def encode_request(request: Request, *, stream: bool) -> dict[str, Any]:
    if request.top_logprobs is not None:
        raise InvalidValue("this API tells no log-probabilities", pointer="/top_logprobs")
    system, messages = encode_messages(request.messages)
    body: dict[str, Any] = {
        "model": request.model,
        "messages": messages,
        "max_tokens": request.max_tokens or _DEFAULT_MAX_TOKENS,
        "stream": stream,
    }
    optional = {
        "system": system,
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "top_k": request.sampling.top_k,
        "stop_sequences": list(request.stop) or None,
        "output_config": _output_config(request.response_format),
        "thinking": _thinking_out(request.thinking),
    }
    if request.tools:
        optional["tools"] = [
            {"name": t.name, "description": t.description, "input_schema": t.parameters}
            for t in request.tools
        ]
        optional["tool_choice"] = _tool_choice_out(request.tool_choice)
    body |= {name: value for name, value in optional.items() if value is not None}
    body |= request.extra.get("anthropic", {})
    return body


def _tools(body: dict[str, Any]) -> Iterator[Tool]:
    """Tools that the API itself would run are left out; deferred ones wait for their reference."""
    wanted = referenced(body["messages"])
    for tool in body.get("tools") or ():
        name, schema = tool["name"], tool.get("input_schema")
        if schema is None:
            note("ignored_tool", f"the tool {name!r} does not run here and was left out")
        elif not tool.get("defer_loading") or name in wanted:
            yield Tool(name, tool.get("description") or "", schema)


def _tool_choice(choice: dict[str, Any]) -> ToolChoice:
    if choice.get("type") == "tool":
        return ToolChoice("named", choice.get("name"))
    match _MODES.get(choice.get("type", "auto")):
        case "required":
            return ToolChoice("required")
        case "none":
            return ToolChoice("none")
        case _:
            return ToolChoice()


def _tool_choice_out(choice: ToolChoice) -> dict[str, Any]:
    if choice.mode == "named":
        return {"type": "tool", "name": choice.name}
    return {"type": "any" if choice.mode == "required" else choice.mode}


def _response_format(body: dict[str, Any]) -> ResponseFormat:
    config = body.get("output_config") or {}
    form = config.get("format") or body.get("output_format") or {}
    if form.get("type") != "json_schema":
        return ResponseFormat()
    return ResponseFormat("json_schema", schema=form.get("schema") or {})


def _output_config(form: ResponseFormat) -> dict[str, Any] | None:
    if form.kind == "text":
        return None
    return {"format": {"type": "json_schema", "schema": form.schema or {"type": "object"}}}


def _thinking_out(thinking: bool | None) -> dict[str, Any] | None:
    return None if thinking is None else {"type": "adaptive" if thinking else "disabled"}


FORMAT = Format(
    decode_request=decode_request,
    encode_request=encode_request,
    encode_replies=encode_replies,
    decode_reply=decode_reply,
    encode_error=encode_error,
    encoder=Encoder,
    decoder=Decoder,
)
