"""What is served and how it is: models for each audience, health, tokens, greeting."""

from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from mlxk import __version__
from mlxk.chat.model import ChatModel
from mlxk.contract.errors import InvalidValue, NotFound
from mlxk.contract.validate import require
from mlxk.server.body import read_json, reply_json
from mlxk.server.openapi import document
from mlxk.server.residency import Resident
from mlxk.server.router import Fallback
from mlxk.server.state import STATE, Local, Observed, ServerState
from mlxk.system.clock import stamp


def routes() -> list[web.RouteDef]:
    return [
        web.get("/", _greeting),
        web.get("/health", _health),
        web.get("/ready", _health),
        web.get("/metrics", _metrics),
        web.get("/api/hello", _greeting),
        web.get("/version", _version),
        web.get("/api/ps", _resident),
        web.get("/v1/schema", _schema),
        web.get("/{version:v1|v1beta}/models", _models),
        web.get("/{version:v1|v1beta}/models/{id:.+}", _model),
        web.post("/tokenize", _tokenize),
        web.post("/detokenize", _detokenize),
    ]


async def _greeting(http: web.Request) -> web.Response:
    models = list(http.app[STATE].models)
    return reply_json({"name": "mlxk", "version": __version__, "models": models})


async def _version(_: web.Request) -> web.Response:
    """Where users of vLLM and llama-server look for it."""
    return reply_json({"version": __version__})


async def _models(http: web.Request) -> web.Response:
    """One path, three audiences: they are told apart by their headers."""
    state = http.app[STATE]
    audience = _audience(http)
    served = [(id, *state.pick(id)) for id in state.names()]
    rows = [await _row(state, audience, *each) for each in served]
    match audience:
        case "google":
            return reply_json({"models": rows})
        case "anthropic":
            ends = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"]} if rows else {}
            return reply_json({"data": rows, "has_more": False, **ends})
        case _:
            return reply_json({"object": "list", "data": rows})


async def _model(http: web.Request) -> web.Response:
    state = http.app[STATE]
    wanted = http.match_info["id"]
    name, model = state.pick(wanted)
    id = wanted if wanted in state.options.aliases else name
    return reply_json(await _row(state, _audience(http), id, name, model))


async def _health(http: web.Request) -> web.Response:
    """200 only when a token can be made, else 503 and the phase.

    A model that sleeps is loaded when it is asked: with it a token can be made too.
    """
    state = http.app[STATE]
    stats = list(state.stats().values())
    phases = [each.phase for each in stats] or ["ready"]
    phase = next((good for good in ("ready", "stopped") if good in phases), phases[0])
    able = phase in ("ready", "stopped") and not state.draining
    body = {
        "status": "ok" if able else "unavailable",
        "model": next(iter(state.models), None),
        "active_sequences": sum(each.active_sequences for each in stats) if stats else state.active,
        "queued": sum(each.queued for each in stats),
        "prefix_cache_files": sum(each.prefix_cache_files for each in stats),
        "phase": phase,
        "uptime_s": round(state.elapsed(), 3),
    }
    return reply_json(body, status=200 if able else 503)


async def _metrics(http: web.Request) -> web.Response:
    if not http.app[STATE].options.metrics:
        raise NotFound("the figures are not shown here")
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    return web.Response(body=http.app[STATE].metrics.text(), headers=headers)


async def _resident(http: web.Request) -> web.Response:
    """What is loaded, how busy it is, and when it will leave."""
    state = http.app[STATE]
    rows = []
    for name, model in state.models.items():
        if isinstance(model, Fallback):  # another name for others
            continue
        stats = model.stats if isinstance(model, Observed) else None
        row = {
            "name": name,
            "model": name,
            "phase": stats.phase if stats else "ready",
            "active_sequences": stats.active_sequences if stats else 0,
            "queued": stats.queued if stats else 0,
            "context_length": await _context_length(model),
            "expires_at": _expiry(state, model),
        }
        rows.append(row)
    return reply_json({"models": rows})


def _expiry(state: ServerState, model: ChatModel) -> str | None:
    left = model.expires_in_s if isinstance(model, Resident) else None
    return None if left is None else stamp(state.clock() + timedelta(seconds=left))


async def _schema(http: web.Request) -> web.Response:
    return reply_json(document())


async def _tokenize(http: web.Request) -> web.Response:
    body = await read_json(http)
    require("wire/tokenize", body, "request")
    model = _local(http, body)
    ids = await model.encode(body["text"])
    return reply_json({"tokens": ids, "count": len(ids)})


async def _detokenize(http: web.Request) -> web.Response:
    body = await read_json(http)
    require("wire/detokenize", body, "request")
    return reply_json({"text": await _local(http, body).decode([int(id) for id in body["tokens"]])})


def _local(http: web.Request, body: dict[str, Any]) -> Local:
    name, model = http.app[STATE].pick(body.get("model") or "")
    if not isinstance(model, Local):
        raise InvalidValue(f"the tokens of {name!r} are not known here")
    return model


def _audience(http: web.Request) -> str:
    headers = http.headers
    if http.match_info["version"] == "v1beta" or headers.keys() & {
        "x-goog-api-key",
        "x-goog-api-client",
    }:
        return "google"
    return "anthropic" if "anthropic-version" in headers else "openai"


async def _row(
    state: ServerState, audience: str, id: str, name: str, model: ChatModel
) -> dict[str, Any]:
    """`id` is what a request may say: an alias, or the model's own `name`."""
    length = await _context_length(model)
    match audience:
        case "google":
            limits = {"inputTokenLimit": length, "outputTokenLimit": length} if length else {}
            verbs = ["generateContent", "countTokens"]
            about = {"displayName": name, "supportedGenerationMethods": verbs}
            return {"name": f"models/{id}", **about, **limits}
        case "anthropic":
            born = stamp(datetime.fromtimestamp(state.began, UTC))
            return {"type": "model", "id": id, "display_name": name, "created_at": born}
        case _:
            row = {"id": id, "object": "model", "created": state.began, "owned_by": "mlxk"}
            row |= {} if id == name else {"root": name}
            return row | ({"context_length": length} if length else {})


async def _context_length(model: ChatModel) -> int | None:
    """Known once a model has loaded: a list of models waits for nothing."""
    model = model.first if isinstance(model, Fallback) else model
    if isinstance(model, Observed) and model.stats.phase == "ready":
        return await model.context_length()
    return None
