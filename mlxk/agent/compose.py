"""Put models and sessions together: for the command line and for the library."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.util import find_spec
from itertools import count
from typing import TYPE_CHECKING, Any

from mlxk.agent.settings import Settings, from_meta, to_meta
from mlxk.chat.model import ChatModel
from mlxk.chat.types import Request
from mlxk.contract.errors import AlreadyExists, ExtraMissing, InvalidValue, UsageError
from mlxk.history.record import Place, find
from mlxk.history.session import Session
from mlxk.history.store import Store
from mlxk.system import clock, paths, running
from mlxk.system.files import write_atomic

if TYPE_CHECKING:
    from mlxk.engine.options import EngineStats
    from mlxk.providers.client import RemoteModel

_LONGEST = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run begins: a fresh session, or a place in an older one."""

    settings: Settings
    place: Place | None


async def _unknown() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Model:
    """`ready` waits until it can answer and gives its context length, where that is known."""

    chat: ChatModel
    load_s: Callable[[], float | None] = lambda: None
    ready: Callable[[], Awaitable[int | None]] = _unknown
    stats: "Callable[[], EngineStats | None]" = lambda: None


def start(
    store: Store, given: dict[str, Any], *, resume: str | None, default: Callable[[], str]
) -> Start:
    """Settings from the session that is resumed, else defaults; what is `given` overrides both."""
    if resume is not None:
        place = find(store, resume)
        return Start(from_meta(place.meta()).overridden(given), place)
    model = given.get("model")
    if given.get("api", "local") != "local" and model is None:
        raise UsageError("name the model of that API", hint="--model NAME")
    return Start(Settings(model or default()).overridden(given), None)


def session(
    store: Store, begin: Start, prompt: str, *, name: str | None = None, clean: bool = False
) -> Session:
    """Make, fork or open the session of a run, held until it is closed."""
    if name is not None:
        checked(name)
    _require_servers(begin.settings)
    _hide(store)
    place, when, meta = begin.place, clock.now(), to_meta(begin.settings)
    if place is None:
        session = _named(
            name or _slug(prompt),
            lambda free: Session.create(store, meta, name=free, when=when, clean=clean),
            exact=name is not None,
        )
        return _carrying(session, begin.settings)
    if place.is_last and name is None:
        session = Session.open(store, place.record.id, when=when)
        return _carrying(session, begin.settings)
    wanted = name or place.record.name
    return fork(store, place, begin.settings, wanted, when, exact=name is not None)


def fork(
    store: Store,
    place: Place,
    settings: Settings,
    name: str,
    when: datetime,
    *,
    exact: bool = False,
) -> Session:
    """Another future of `place`, under `name` or (unless `exact`) the next free one."""
    meta = to_meta(settings)

    def make(free: str) -> Session:
        return Session.fork(store, place, meta, name=free, when=when)

    forked = _named(checked(name) if exact else name, make, exact=exact)
    return _carrying(forked, settings)


def _carrying(session: Session, settings: Settings) -> Session:
    try:
        session.carry(settings.carry)
    except BaseException:
        session.withdraw()
        raise
    return session


@asynccontextmanager
async def chat_model(settings: Settings) -> AsyncGenerator[Model, None]:
    """The model that `settings` name: somebody's API, a server of ours that has it, or an engine
    of our own."""
    if settings.api != "local":
        from mlxk.providers.client import RemoteModel
        from mlxk.providers.endpoints import endpoint

        async with RemoteModel(endpoint(settings.api, settings.url)) as remote:
            yield Model(remote)
        return
    if (served := await asyncio.to_thread(_server_of, settings.model)) is not None:
        async with served as remote:
            yield Model(remote)
        return
    from mlxk.engine.named import engine as named_engine
    from mlxk.engine.options import EngineOptions

    options = EngineOptions(prefix_cache_folder=paths.prefix_cache())
    async with named_engine(settings.model, options) as engine:

        async def ready() -> int:
            await engine.ready()
            return await engine.context_length()

        yield Model(engine, lambda: engine.timings.load_s, ready, lambda: engine.stats)


def _server_of(model: str) -> "RemoteModel | None":
    """A server of this user that has the model now: it is not loaded twice."""
    from mlxk.hub import names
    from mlxk.providers.client import RemoteModel
    from mlxk.providers.endpoints import endpoint

    found = running.serving(names.resolve(model).folder)
    if found is None:
        return None
    server, name = found
    there = replace(endpoint("openai", server.url), name="mlxk serve", key=server.key, model=name)
    return RemoteModel(there)


def prompt_tokens(settings: Settings, request: Request) -> int | None:
    """Counted without starting anything; None where somebody else's API counts."""
    if settings.api != "local":
        return None
    from mlxk.engine.named import count_tokens

    return count_tokens(settings.model, request)


def _require_servers(settings: Settings) -> None:
    """What MCP servers lack for certain is said before there is a session."""
    for server in settings.mcp:
        server.variables()
    if settings.mcp and find_spec("mcp") is None:
        raise ExtraMissing("MCP servers need the mcp SDK", hint="pip install 'mlxk[mcp]'")


def _hide(store: Store) -> None:
    """A home inside the user's checkout must not show in their `git status`."""
    ignore = store.home / ".gitignore"
    if store.root is not None and store.home.is_relative_to(store.root) and not ignore.exists():
        write_atomic(ignore, b"*\n")


def _named(name: str, make: Callable[[str], Session], *, exact: bool) -> Session:
    """Under `name`, or the first free of `name-2`, `name-3`, … when nobody asked for `name`."""
    for number in count(1):
        try:
            suffix = "" if number == 1 else f"-{number}"
            return make(name[: _LONGEST - len(suffix)] + suffix)
        except AlreadyExists as e:
            if exact:
                e.hint = f"mlxk agent --resume {name}, or another --branch"
                raise
    raise AssertionError("count() does not end")


def checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidValue(f"{name!r} cannot name a branch", hint="letters, digits, . _ and -")
    return name


def _slug(prompt: str) -> str:
    """`Create a file hello.txt …` -> `create-a-file-hello-txt`."""
    words = re.findall(r"[a-z0-9]+", prompt.casefold())
    slug = ""
    for word in words[:6]:
        longer = f"{slug}-{word}" if slug else word[:40]
        if len(longer) > 40:
            break
        slug = longer
    return slug or "work"
