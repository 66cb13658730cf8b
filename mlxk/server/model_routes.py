"""What is served and how it is: models, health, greeting."""

from typing import Any

from aiohttp import web

from mlxk import __version__
from mlxk.chat.model import ChatModel
from mlxk.contract import encoding
from mlxk.server.state import STATE, Observed, ServerState


def routes() -> list[web.RouteDef]:
    return [
        web.get("/", _greeting),
        web.get("/health", _health),
        web.get("/v1/models", _models),
        web.get("/v1/models/{id:.+}", _model),
    ]


async def _greeting(http: web.Request) -> web.Response:
    models = list(http.app[STATE].models)
    return _json({"name": "mlxk", "version": __version__, "models": models})


async def _models(http: web.Request) -> web.Response:
    state = http.app[STATE]
    rows = [await _row(state, name, model) for name, model in state.models.items()]
    return _json({"object": "list", "data": rows})


async def _model(http: web.Request) -> web.Response:
    state = http.app[STATE]
    return _json(await _row(state, *state.pick(http.match_info["id"])))


async def _health(http: web.Request) -> web.Response:
    """200 only when a token can be made, else 503 and the phase."""
    state = http.app[STATE]
    stats = [model.stats for model in state.models.values() if isinstance(model, Observed)]
    phases = ["stopped"] if state.draining else [each.phase for each in stats] or ["ready"]
    phase = "ready" if "ready" in phases else phases[0]
    body = {
        "status": "ok" if phase == "ready" else "unavailable",
        "model": next(iter(state.models), None),
        "active_sequences": sum(each.active_sequences for each in stats) if stats else state.active,
        "queued": sum(each.queued for each in stats),
        "prefix_cache_files": sum(each.prefix_cache_files for each in stats),
        "phase": phase,
        "uptime_s": round(state.elapsed(), 3),
    }
    return _json(body, status=200 if phase == "ready" else 503)


async def _row(state: ServerState, name: str, model: ChatModel) -> dict[str, Any]:
    row = {
        "id": name,
        "object": "model",
        "created": state.now - int(state.elapsed()),
        "owned_by": "mlxk",
    }
    if isinstance(model, Observed) and model.stats.phase == "ready":
        row["context_length"] = await model.context_length()
    return row


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(
        body=encoding.dumps(value, newline=True), status=status, content_type="application/json"
    )
