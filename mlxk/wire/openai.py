"""What OpenAI's three formats share: sampling, stop strings, usage, errors."""

from collections.abc import Sequence
from typing import Any

from mlxk.chat.types import Predicted, Request, ResponseFormat, Sampling, Usage
from mlxk.contract.errors import ContextLengthExceeded, InvalidValue, MlxkError
from mlxk.wire.reading import with_hint

_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
)
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


def decode_sampling(body: dict[str, Any]) -> Sampling:
    values = {name: body.get(name) for name in _SAMPLING}
    if (values["top_k"] or 0) <= 0:
        values["top_k"] = None
    bias = body.get("logit_bias") or {}
    return Sampling(**values, logit_bias=tuple((int(id), value) for id, value in bias.items()))


def encode_sampling(sampling: Sampling) -> dict[str, Any]:
    values = {name: getattr(sampling, name) for name in _SAMPLING}
    body = {name: value for name, value in values.items() if value is not None}
    if sampling.logit_bias:
        body["logit_bias"] = {str(id): value for id, value in sampling.logit_bias}
    return body


def decode_stop(stop: Any) -> tuple[str, ...]:
    return tuple(text for text in ([stop] if isinstance(stop, str) else stop or ()) if text)


def decode_response_format(wanted: dict[str, Any], at: str) -> ResponseFormat:
    match wanted.get("type"):
        case "json_object":
            return ResponseFormat("json_object")
        case "json_schema":
            form = wanted.get("json_schema") or {}
            schema = form.get("schema")
            if schema is None:
                raise InvalidValue(f"no schema at {at}", pointer=at)
            return ResponseFormat("json_schema", schema=schema, name=form.get("name"))
        case "regex":
            return ResponseFormat("regex", pattern=wanted.get("pattern") or "")
        case _:
            return ResponseFormat()


def decode_thinking(body: dict[str, Any]) -> bool | None:
    options = body.get("chat_template_kwargs") or {}
    switch = options.get("enable_thinking", options.get("thinking"))
    return switch if isinstance(switch, bool) else thinks(body.get("reasoning_effort"))


def thinks(effort: str | None) -> bool | None:
    return None if effort is None else effort != "none"


def decode_effort(effort: str | None) -> str | None:
    return None if effort == "none" else effort


def effort_of(request: Request) -> str | None:
    """As it was asked for, or in the one word that every model knows."""
    if request.thinking is None:
        return request.effort
    return (request.effort or "medium") if request.thinking else "none"


def decode_prediction(prediction: dict[str, Any] | None) -> str | None:
    if prediction is None:
        return None
    content = prediction["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def encode_response_format(form: ResponseFormat) -> dict[str, Any]:
    match form.kind:
        case "json_schema":
            schema = {"name": form.name or "answer", "schema": form.schema, "strict": True}
            return {"type": "json_schema", "json_schema": schema}
        case "regex":
            return {"type": "regex", "pattern": form.pattern}
        case kind:
            return {"type": kind}


def encode_usage(usages: Sequence[Usage], prompts: int = 1) -> dict[str, Any]:
    """Each prompt counts once, however many choices were made of it, one after the other."""
    each = len(usages) // prompts
    asked = [usages[at : at + each] for at in range(0, len(usages), each)]
    prompt = sum(max(usage.prompt_tokens for usage in choices) for choices in asked)
    cached = sum(max(usage.cached_tokens for usage in choices) for choices in asked)
    completion = sum(usage.completion_tokens for usage in usages)
    details = {"reasoning_tokens": sum(usage.reasoning_tokens for usage in usages)}
    if predicted := [usage.predicted for usage in usages if usage.predicted]:
        details |= {
            "accepted_prediction_tokens": sum(each.accepted_tokens for each in predicted),
            "rejected_prediction_tokens": sum(each.rejected_tokens for each in predicted),
        }
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": details,
    }


def decode_usage(usage: dict[str, Any]) -> Usage:
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return Usage(
        prompt_tokens=usage.get("prompt_tokens") or 0,
        completion_tokens=usage.get("completion_tokens") or 0,
        cached_tokens=prompt.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0,
        predicted=_predicted(completion),
        reasoning_tokens=completion.get("reasoning_tokens") or 0,
    )


def _predicted(details: dict[str, Any]) -> Predicted | None:
    """Servers that were not asked about a prediction may say zeros."""
    counts = [details.get(f"{kind}_prediction_tokens") or 0 for kind in ("accepted", "rejected")]
    return Predicted(*counts) if any(counts) else None


def encode_error(error: MlxkError, status: int) -> dict[str, Any]:
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    body = {
        "message": _sentence(error),
        "type": kind,
        "param": pointer_of(error),
        "code": error.details.get("code") or _CODES.get(status, error.type),
    }
    return {"error": body}


def pointer_of(error: MlxkError) -> str | None:
    """Where in the request the trouble is, if the error says so."""
    problems = error.details.get("problems") or [{}]
    pointer = error.details.get("pointer") or problems[0].get("pointer")
    return pointer.removeprefix("/").replace("/", ".") if pointer else None


def message_of(error: Any) -> str:
    """The sentence in an error object of any make."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("type") or error)
    return str(error)


def _sentence(error: MlxkError) -> str:
    """Clients look for these words to know that they must shorten the conversation."""
    match error, error.details:
        case ContextLengthExceeded(), {"prompt_tokens": got, "context_length": limit}:
            return (
                f"This model's maximum context length is {limit} tokens. However, your messages "
                f"resulted in {got} tokens. Please reduce the length of the messages."
            )
        case _:
            return with_hint(error)
