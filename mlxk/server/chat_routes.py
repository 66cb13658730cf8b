"""Questions and answers: a route is a path and a wire format."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from aiohttp import web

from mlxk.contract.errors import InvalidValue, NotFound
from mlxk.contract.notes import collecting
from mlxk.server.answers import answer
from mlxk.server.body import read_as, reply_json
from mlxk.server.record import passed
from mlxk.server.socket import converse
from mlxk.server.state import STATE, Local
from mlxk.wire import anthropic, gemini, openai_chat, openai_completions, openai_responses
from mlxk.wire.frames import Asked, Format

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_FORMATS: dict[str, Format] = {
    "/v1/chat/completions": openai_chat.FORMAT,
    "/v1/completions": openai_completions.FORMAT,
    "/v1/responses": openai_responses.FORMAT,
    "/v1/messages": anthropic.FORMAT,
}
_COUNTED: dict[str, tuple[Format, str]] = {
    "/v1/messages/count_tokens": (anthropic.FORMAT, "input_tokens"),
    "/v1/responses/input_tokens": (openai_responses.FORMAT, "input_tokens"),
}
# Clients refuse headers that are much longer than this.
_HEADER = 4000
_GEMINI = "/{version:v1|v1beta}/models/{model:.+}:{verb:[A-Za-z]+}"


def routes() -> list[web.RouteDef]:
    return [
        *(web.post(path, _answering(form)) for path, form in _FORMATS.items()),
        *(web.post(path, _counting(form, name)) for path, (form, name) in _COUNTED.items()),
        web.get("/v1/responses", converse, allow_head=False),
        web.get("/v1/responses/{id}", _kept),
        web.delete("/v1/responses/{id}", _forgotten),
        web.post(_GEMINI, _gemini),
        web.post("/v1/embeddings", _embeddings),
    ]


def dialect(request: web.Request) -> Format:
    """The format in which a client understands a refusal."""
    path, headers = request.path, request.headers
    if path.startswith("/v1/messages") or "anthropic-version" in headers:
        return anthropic.FORMAT
    google = "x-goog-api-key" in headers or "x-goog-api-client" in headers
    if google or path.startswith("/v1beta/") or ":" in path.rpartition("/")[2]:
        return gemini.FORMAT
    return openai_chat.FORMAT


def _answering(form: Format) -> Handler:
    async def handle(http: web.Request) -> web.StreamResponse:
        return await _answer(http, form, lambda asked: asked)

    return handle


async def _gemini(http: web.Request) -> web.StreamResponse:
    """Model and verb stand in the path."""
    verb, model = http.match_info["verb"], http.match_info["model"]

    stream = verb == "streamGenerateContent" and http.query.get("alt") == "sse"

    def addressed(asked: Asked) -> Asked:
        return replace(asked, stream=stream, request=replace(asked.request, model=model))

    match verb:
        case "streamGenerateContent" if not stream:
            whole = await _answer(http, gemini.FORMAT, addressed)
            return _listed(whole)
        case "generateContent" | "streamGenerateContent":
            return await _answer(http, gemini.FORMAT, addressed)
        case "countTokens":
            asked = addressed(await read_as(http, _inner))
            return reply_json({"totalTokens": await _count(http, asked)})
        case "embedContent" | "batchEmbedContents":
            return await _embeddings(http)
        case _:
            raise NotFound(f"{verb} is not served here")


def _inner(body: Any) -> Asked:
    inner = body.get("generateContentRequest") if isinstance(body, dict) else None
    return gemini.decode_request(inner or body)


async def _embeddings(_: web.Request) -> web.StreamResponse:
    """Engines here answer with text: a vector that no model was trained to make would be a lie."""
    raise NotFound("embeddings are not made here", hint="this server answers with text only")


def _listed(whole: web.StreamResponse) -> web.StreamResponse:
    """Without `alt=sse` a stream is one JSON list: here of one chunk."""
    if isinstance(whole, web.Response) and isinstance(whole.body, bytes):
        whole.body = b"[%b]\n" % whole.body.strip()
    return whole


async def _answer(
    http: web.Request, form: Format, addressed: Callable[[Asked], Asked]
) -> web.StreamResponse:
    passed(form)
    with collecting() as notes:
        asked = addressed(await read_as(http, form.decode_request))
    warnings = "; ".join(note.message for note in notes)
    told = warnings.encode("ascii", "backslashreplace")[:_HEADER].decode()
    headers = {"Mlxk-Warning": told} if told else {}
    asked = http.app[STATE].responses.continued(asked)
    return await answer(http, form, asked, headers)


def _counting(form: Format, name: str) -> Handler:
    async def handle(http: web.Request) -> web.StreamResponse:
        passed(form)
        asked = await read_as(http, form.decode_request)
        return reply_json({"object": name, name: await _count(http, asked)})

    return handle


async def _count(http: web.Request, asked: Asked) -> int:
    state = http.app[STATE]
    name, model = state.pick(asked.request.model)
    if not isinstance(model, Local):
        raise InvalidValue(f"the tokens of {name!r} are not counted here")
    return await model.count_tokens(replace(asked.request, model=name))


async def _kept(http: web.Request) -> web.StreamResponse:
    return reply_json(http.app[STATE].responses.get(http.match_info["id"]))


async def _forgotten(http: web.Request) -> web.StreamResponse:
    id = http.match_info["id"]
    http.app[STATE].responses.forget(id)
    return reply_json({"id": id, "object": "response.deleted", "deleted": True})
