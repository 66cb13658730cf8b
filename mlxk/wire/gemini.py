"""Gemini generateContent: requests, both directions. Knows no socket, no clock and no model.

The model's name and whether to stream stand in the URL, not in the body.
"""

from collections.abc import Iterator
from typing import Any

from mlxk.chat.types import Request, ResponseFormat, Sampling, Tool, ToolChoice
from mlxk.contract import registry
from mlxk.contract.errors import InvalidValue
from mlxk.contract.notes import note
from mlxk.wire.frames import Asked, Format
from mlxk.wire.gemini_answers import Decoder, Encoder, decode_reply, encode_error, encode_replies
from mlxk.wire.gemini_contents import (
    camel,
    decode_contents,
    decode_system,
    encode_contents,
    plain_schema,
)
from mlxk.wire.reading import (
    allowed,
    checked,
    ignore,
    in_call_order,
    keep_alive,
    refuse,
    text_only,
    whole,
)

_SCHEMA = "wire/gemini"
_REFUSED = {"cachedContent": "no contents are kept here; equal beginnings are remembered unasked"}
_REFUSED_CONFIG = {"speechConfig": "this server makes no speech"}
_AT = "/generationConfig"
_JSON = "application/json"
_SAMPLING = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}


def decode_request(body: Any) -> Asked:
    body = checked(_SCHEMA, body, camel)
    refuse(body, _REFUSED)
    config = _config(body)
    thinking = config.get("thinkingConfig") or {}
    messages = (
        *decode_system(body.get("systemInstruction")),
        *decode_contents(body["contents"]),
    )
    request = Request(
        model="",
        messages=in_call_order(messages),
        tools=_offered(body),
        tool_choice=_tool_choice(body),
        sampling=_sampling(config),
        max_tokens=config.get("maxOutputTokens"),
        stop=tuple(text for text in config.get("stopSequences") or () if text),
        response_format=_response_format(config),
        top_logprobs=(config.get("logprobs") or 0) if config.get("responseLogprobs") else None,
        thinking=_thinking(thinking),
        effort=(thinking.get("thinkingLevel") or "").lower() or None,
    )
    return Asked(
        request,
        choices=config.get("candidateCount") or 1,
        keep_alive_s=keep_alive(body, "keepAlive"),
    )


def encode_request(request: Request, *, stream: bool) -> dict[str, Any]:
    system, contents = encode_contents(request.messages)
    config = {wire: getattr(request.sampling, name) for name, wire in _SAMPLING.items()}
    config |= {"maxOutputTokens": request.max_tokens, "stopSequences": list(request.stop) or None}
    config |= _response_format_out(request.response_format)
    if request.top_logprobs is not None:
        config |= {"responseLogprobs": True, "logprobs": request.top_logprobs or None}
    if request.thinking is not None:
        budget = {"includeThoughts": True} if request.thinking else {"thinkingBudget": 0}
        config["thinkingConfig"] = budget
    body: dict[str, Any] = {
        "contents": contents,
        "generationConfig": {name: value for name, value in config.items() if value is not None},
    }
    if system is not None:
        body["systemInstruction"] = system
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_tool_out(tool) for tool in request.tools]}]
        body["toolConfig"] = {"functionCallingConfig": _tool_choice_out(request.tool_choice)}
    body |= request.extra.get("gemini", {})
    return body


def _config(body: dict[str, Any]) -> dict[str, Any]:
    config = whole(body.get("generationConfig") or {})
    refuse(config, _REFUSED_CONFIG, _AT)
    text_only(config, "responseModalities", _AT)
    known = registry.load(_SCHEMA)["properties"]["generationConfig"]["properties"]
    ignore(config.keys() - known.keys(), _AT)
    return config


def _sampling(config: dict[str, Any]) -> Sampling:
    values: dict[str, Any] = {name: config.get(wire) for name, wire in _SAMPLING.items()}
    return Sampling(**values)


def _tools(body: dict[str, Any]) -> Iterator[Tool]:
    groups: list[dict[str, Any]] = body.get("tools") or []
    for group in groups:
        for name in sorted(group.keys() - {"functionDeclarations"}):
            note("ignored_tool", f"the tool {name!r} does not run here and was left out")
        for tool in group.get("functionDeclarations") or ():
            schema = tool.get("parametersJsonSchema") or tool.get("parameters") or {}
            yield Tool(tool["name"], tool.get("description") or "", plain_schema(schema))


def _offered(body: dict[str, Any]) -> tuple[Tool, ...]:
    tools = tuple(_tools(body))
    names = _calling(body).get("allowedFunctionNames")
    return allowed(tools, names) if names and _tool_choice(body).mode != "named" else tools


def _calling(body: dict[str, Any]) -> dict[str, Any]:
    return (body.get("toolConfig") or {}).get("functionCallingConfig") or {}


def _tool_out(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema": tool.parameters,
    }


def _tool_choice(body: dict[str, Any]) -> ToolChoice:
    config = _calling(body)
    match config.get("mode"), config.get("allowedFunctionNames"):
        case "ANY", [name]:
            return ToolChoice("named", name)
        case "ANY", _:
            return ToolChoice("required")
        case "NONE", _:
            return ToolChoice("none")
        case _:
            return ToolChoice()


def _tool_choice_out(choice: ToolChoice) -> dict[str, Any]:
    if choice.mode == "named":
        return {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    return {"mode": {"auto": "AUTO", "none": "NONE", "required": "ANY"}[choice.mode]}


def _response_format(config: dict[str, Any]) -> ResponseFormat:
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if config.get("responseMimeType") != _JSON:
        if schema:
            reason = f"a schema for the answer goes with responseMimeType: {_JSON}"
            raise InvalidValue(reason, pointer=f"{_AT}/responseMimeType")
        return ResponseFormat()
    if not schema:
        return ResponseFormat("json_object")
    return ResponseFormat("json_schema", schema=plain_schema(schema))


def _response_format_out(form: ResponseFormat) -> dict[str, Any]:
    if form.kind not in ("json_object", "json_schema"):
        return {}
    return {"responseMimeType": _JSON, "responseJsonSchema": form.schema}


def _thinking(config: dict[str, Any]) -> bool | None:
    budget = config.get("thinkingBudget") or 0
    if config.get("thinkingBudget") == 0:
        return False
    wanted = budget > 0 or config.get("includeThoughts") or config.get("thinkingLevel")
    return True if wanted else None


FORMAT = Format(
    decode_request=decode_request,
    encode_request=encode_request,
    encode_replies=encode_replies,
    decode_reply=decode_reply,
    encode_error=encode_error,
    encoder=Encoder,
    decoder=Decoder,
)
