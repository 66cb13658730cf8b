"""Requests that change something: each is one method of the desk or of a tab."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from aiohttp import web

from mlxk.agent.permissions import MODES, Mode
from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument, InvalidValue
from mlxk.history import trash
from mlxk.history.store import Store
from mlxk.web.access import ACCESS, ENTRY, reply
from mlxk.web.room import ROOM


def routes() -> list[web.RouteDef]:
    at = "/api/sessions/{session}"
    return [
        web.post("/api/new", new),
        web.post(f"{at}/prompt", prompt),
        web.post(f"{at}/futures", futures),
        web.post(f"{at}/abort", abort),
        web.post(f"{at}/answer", answer),
        web.post(f"{at}/check", check),
        web.post(f"{at}/fork", fork),
        web.post(f"{at}/undo", undo),
        web.post(f"{at}/land", land),
        web.post(f"{at}/model", model),
        web.post(f"{at}/close", close),
        web.post(f"{at}/remove", remove),
        web.post("/api/trash/{session}/restore", restore),
        web.post("/api/trash/prune", prune),
        web.post("/api/link", link),
    ]


async def new(http: web.Request) -> web.Response:
    """A tab that begins to work; its session comes with the news."""
    given = await _body(http, prompt=str, model=str, permissions=str, check=str, clean=bool)
    desk = http.app[ROOM].desk
    settings = desk.settings
    if given["model"]:
        settings = replace(settings, model=given["model"])
    if given["permissions"]:
        rules = replace(settings.permissions, mode=_mode(given["permissions"]))
        settings = replace(settings, permissions=rules)
    words = _needed(given, "prompt")
    tab = desk.new(settings, check=given["check"], clean=given["clean"])
    tab.submit(words)
    return reply({"tab": tab.id})


async def prompt(http: web.Request) -> web.Response:
    words = _needed(await _body(http, prompt=str), "prompt")
    tab = await http.app[ROOM].tab(http.match_info["session"])
    tab.submit(words)
    return reply({"tab": tab.id})


async def futures(http: web.Request) -> web.Response:
    """Several branches from the last step work on one prompt at once."""
    given = await _body(http, prompt=str, count=int)
    words, count = _needed(given, "prompt"), given["count"] or 0
    tabs = await http.app[ROOM].desk.futures(http.match_info["session"], count, words)
    return reply({"sessions": [tab.session for tab in tabs]})


async def abort(http: web.Request) -> web.Response:
    """Gives back what still waited, to be edited."""
    await _body(http)
    waiting = await http.app[ROOM].known(http.match_info["session"]).abort()
    return reply({"waiting": waiting})


async def answer(http: web.Request) -> web.Response:
    given = await _body(http, id=str, allow=bool, always=bool)
    tab = http.app[ROOM].known(http.match_info["session"])
    tab.answer(_needed(given, "id"), given["allow"] is True, always=given["always"] is True)
    return reply({})


async def check(http: web.Request) -> web.Response:
    command = _needed(await _body(http, command=str), "command")
    tab = await http.app[ROOM].tab(http.match_info["session"])
    tab.check(command)
    return reply({"tab": tab.id})


async def fork(http: web.Request) -> web.Response:
    given = await _body(http, step=int, turn=int, name=str)
    tab = await http.app[ROOM].desk.fork(
        http.match_info["session"],
        step=given["step"],
        turn=given["turn"],
        name=given["name"] or None,
    )
    return reply({"tab": tab.id, "session": tab.session})


async def undo(http: web.Request) -> web.Response:
    given = await _body(http, step=int, turn=int)
    tab = await http.app[ROOM].tab(http.match_info["session"])
    done = await tab.undo(step=given["step"], turn=given["turn"])
    return reply({"step": done.number, "subject": done.subject})


async def land(http: web.Request) -> web.Response:
    given = await _body(http, into=str, new=str, merge=bool)
    tab = await http.app[ROOM].tab(http.match_info["session"])
    landed = await tab.land(
        into=given["into"] or None,
        new=given["new"] or None,
        how="merge" if given["merge"] else "squash",
    )
    facts = {"branch": landed.branch, "commit": landed.commit, "before": landed.before}
    return reply({**facts, "files": len(landed.files), "checkouts": len(landed.checkouts)})


async def model(http: web.Request) -> web.Response:
    """For the next prompt on."""
    name = _needed(await _body(http, model=str), "model")
    await (await http.app[ROOM].tab(http.match_info["session"])).set_model(name)
    return reply({})


async def close(http: web.Request) -> web.Response:
    """Let go of a session, so that another program may write it."""
    await _body(http)
    closed = await http.app[ROOM].known(http.match_info["session"]).close()
    return reply(closed)


async def remove(http: web.Request) -> web.Response:
    """Into the trash. UnmergedBranch without `force`, and then the session is as it was."""
    given = await _body(http, force=bool)
    desk, session = http.app[ROOM].desk, http.match_info["session"]
    for tab in desk.tabs:
        if tab.session == session:
            await tab.close()
            break
    return reply({"branch": await desk.remove(session, force=given["force"] is True)})


async def restore(http: web.Request) -> web.Response:
    await _body(http)
    session = http.match_info["session"]

    def work(store: Store) -> str:
        return trash.restore(store, session).id

    return reply({"session": await http.app[ROOM].desk.reading(work)})


async def prune(http: web.Request) -> web.Response:
    """Forget for good what has been in the trash for `days`."""
    given = await _body(http, days=int)
    desk = http.app[ROOM].desk
    before = desk.now() - timedelta(days=30 if given["days"] is None else max(0, given["days"]))
    gone = await desk.reading(lambda store: trash.prune(store, before))
    return reply({"pruned": len(gone)})


async def link(http: web.Request) -> web.Response:
    """A way in for another browser, as this one came in."""
    await _body(http)
    token = http.app[ACCESS].new_token()
    return reply({"url": f"http://{http.headers['Host']}{ENTRY}?token={token}"})


async def _body(http: web.Request, **known: type) -> dict[str, Any]:
    """The fields that a request may have; what it does not say is None. InvalidDocument."""
    if http.content_type != "application/json":
        raise InvalidDocument("the body is not application/json")
    value = encoding.loads(await http.read(), "the body")
    if not isinstance(value, dict):
        raise InvalidDocument("the body is no JSON object")
    for name, item in value.items():
        if name not in known:
            raise InvalidDocument(f"the body has an unknown field at /{name}")
        if item is not None and type(item) is not known[name]:
            raise InvalidDocument(f"the body has a wrong value at /{name}")
    return {name: value.get(name) for name in known}


def _needed(given: dict[str, Any], name: str) -> str:
    text: str | None = given[name]
    if text is None or not text.strip():
        raise InvalidValue(f"the {name} is empty")
    return encoding.valid(text)


def _mode(name: str) -> Mode:
    for mode in MODES:
        if mode == name:
            return mode
    raise InvalidValue(f"no permission mode {name!r}", hint=f"one of {', '.join(MODES)}")
