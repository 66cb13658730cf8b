"""`GET /v1/schema`: our own OpenAPI document, made from the published schemas."""

from functools import cache
from typing import Any

from mlxk import __version__
from mlxk.contract import registry

_POSTS = {
    "/v1/chat/completions": "openai_chat",
    "/v1/completions": "openai_completions",
    "/v1/responses": "openai_responses",
    "/v1/responses/input_tokens": "openai_responses",
    "/v1/messages": "anthropic",
    "/v1/messages/count_tokens": "anthropic",
    "/v1beta/models/{model}:generateContent": "gemini",
    "/v1beta/models/{model}:streamGenerateContent": "gemini",
    "/v1beta/models/{model}:countTokens": "gemini",
    "/tokenize": "tokenize",
    "/detokenize": "detokenize",
}
_GETS = (
    "/",
    "/health",
    "/ready",
    "/version",
    "/metrics",
    "/api/ps",
    "/v1/models",
    "/v1/models/{model}",
    "/v1beta/models",
    "/v1beta/models/{model}",
    "/v1/responses/{id}",
)
_DELETES = ("/v1/responses/{id}",)
_ERRORS = ("400", "401", "403", "404", "413", "429", "499", "500", "503")


@cache
def document() -> dict[str, Any]:
    names = sorted(set(_POSTS.values()))
    paths: dict[str, Any] = {path: {"post": _post(path, name)} for path, name in _POSTS.items()}
    for verb, rest in (("get", _GETS), ("delete", _DELETES)):
        for path in rest:
            paths.setdefault(path, {})[verb] = _operation(path)
    return {
        "openapi": "3.1.0",
        "info": {"title": "mlxk", "version": __version__},
        "paths": paths,
        "components": {"schemas": {name: _component(name) for name in names}},
    }


def _post(path: str, name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"requestBody": body, **_operation(path)}


def _operation(path: str) -> dict[str, Any]:
    places = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in ("model", "id")
        if f"{{{name}}}" in path
    ]
    return {"responses": _responses(), **({"parameters": places} if places else {})}


def _responses() -> dict[str, Any]:
    told = {"description": "in the format of the route"}
    return {"200": told, **dict.fromkeys(_ERRORS, told)}


def _component(name: str) -> dict[str, Any]:
    """References inside a schema are relative to itself; here it has a place in a document."""
    schema = registry.load(f"wire/{name}")
    plain = {key: value for key, value in schema.items() if key not in ("$schema", "$id")}
    component: dict[str, Any] = _moved(plain, f"#/components/schemas/{name}/")
    return component


def _moved(node: Any, base: str) -> Any:
    if isinstance(node, dict):
        return {
            key: value.replace("#/", base, 1) if key == "$ref" else _moved(value, base)
            for key, value in node.items()
        }
    return [_moved(item, base) for item in node] if isinstance(node, list) else node
