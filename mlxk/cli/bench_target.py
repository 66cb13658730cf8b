"""What `mlxk bench` measures: an engine of its own, a server by its URL, or a deployment."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from mlxk.contract.errors import InvalidValue, MlxkError, NotFound, NotRunning, UsageError
from mlxk.system import hardware, network
from mlxk.system.memory import resident_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from mlxk.chat.model import ChatModel
    from mlxk.deploy.store import Store
    from mlxk.providers.endpoints import Endpoint

Kind = Literal["engine", "server", "deployment"]
MemorySource = Literal["mlx", "resident"]
_A_BEAT_S = 1.2
_GAUGE = "mlxk_peak_memory_bytes"
_ROWS = 64


@dataclass(frozen=True, slots=True)
class Held:
    """Memory that was measured; `mlx`: what MLX says it held, `resident`: what the system says."""

    bytes: int
    source: MemorySource


@dataclass(frozen=True, slots=True)
class Drafts:
    """Tokens that were guessed ahead, and how many of them held; the warm-up counts."""

    drafted_tokens: int
    accepted_tokens: int


@dataclass(frozen=True, slots=True)
class Opened:
    """Ready to answer. `held` is asked after each round: None, nobody says. So does `drafts`."""

    model: "ChatModel"
    load_s: float | None
    held: Callable[[], "Held | None"]
    settle_s: float = 0.0
    drafts: Callable[[], "Drafts | None"] = lambda: None


@dataclass(frozen=True, slots=True)
class Target:
    """`model` is the name to ask for; `known_as` the one under which figures are kept."""

    kind: Kind
    model: str
    known_as: str
    url: str | None
    is_here: bool
    opened: AbstractAsyncContextManager[Opened]


@dataclass(frozen=True, slots=True)
class Wanted:
    """As typed."""

    target: str
    model: str | None
    api_key_env: str | None
    concurrency: int
    draft: str | None = None


def target(wanted: Wanted, home: "Path") -> Target:
    """A URL, the name of a deployment, else a model."""
    from mlxk.deploy.store import Store

    store = Store(home)
    is_url = wanted.target.startswith(("http://", "https://"))
    if wanted.draft and (is_url or wanted.target in store.names()):
        raise UsageError("a server drafts as it was started to", hint="mlxk serve --draft …")
    if is_url:
        return _server(wanted)
    if wanted.target in store.names():
        return _deployment(wanted, store)
    if wanted.model or wanted.api_key_env:
        raise UsageError("--model and --api-key-env go with a URL", hint="mlxk bench --help")
    return _engine(wanted)


def _engine(wanted: Wanted) -> Target:
    from mlxk.engine.named import draft, engine
    from mlxk.engine.options import EngineOptions

    # Nothing is kept from one prompt to the next: the peak is what answering takes.
    rows = max(_ROWS, wanted.concurrency)
    # Answers to senseless prompts often repeat themselves: guesses would be all too good.
    guesses = draft(wanted.draft or "off")
    options = EngineOptions(rows=rows, prefix_memory_bytes=0, draft=guesses)
    found = engine(wanted.target, options)

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Opened, None]:
        async with found:
            await found.ready()
            yield Opened(found, found.timings.load_s, held, _A_BEAT_S, drafts)

    def drafts() -> Drafts | None:
        stats = found.stats
        return Drafts(stats.drafted_tokens, stats.accepted_tokens) if wanted.draft else None

    def held() -> Held | None:
        count = found.stats.peak_memory_bytes
        return None if count is None else Held(count, "mlx")

    return Target("engine", found.name, found.name, None, True, opened())


def _server(wanted: Wanted) -> Target:
    row = _endpoint(wanted.target, wanted.api_key_env)
    model = wanted.model or _only_model(row)
    is_here = network.is_loopback(network.hostname(row.base))
    return Target("server", model, model, wanted.target, is_here, _remote(row, model, None))


def _deployment(wanted: Wanted, store: "Store") -> Target:
    from mlxk.deploy import local, record, weigh

    name = wanted.target
    declared, known = store.load(name), record.read(store.home, name)
    if known is None or not known.is_alive():
        raise NotRunning(f"{name} is not running", hint=f"mlxk up {name}", name=name)
    where = local.target(declared, known, os.environ)
    url = network.url(where.host, where.port)
    row = _endpoint(url, wanted.api_key_env or declared.api_key_env)
    model = wanted.model or declared.server.model_id or _only_model(row)
    known_as = weigh.reference(declared, store.home)
    return Target("deployment", model, known_as, url, True, _remote(row, model, known.pid))


def _endpoint(url: str, variable: str | None) -> "Endpoint":
    """A server of OpenAI's format, under its address, with the key of that variable."""
    from mlxk.cli.listen import key_of
    from mlxk.providers.endpoints import OWN_KEY, endpoint

    row = endpoint("openai", url)
    place = urlsplit(row.base).netloc
    if "@" in place:
        raise InvalidValue("a URL holds no password", hint="--api-key-env VAR")
    key = key_of(variable) or row.key
    return replace(row, name=place, key=key, key_variable=variable or OWN_KEY)


@asynccontextmanager
async def _remote(row: "Endpoint", model: str, pid: int | None) -> AsyncGenerator[Opened, None]:
    from mlxk.providers.client import Patience, RemoteModel

    def held() -> Held | None:
        if (count := _gauge(row, model)) is not None:
            return Held(count, "mlx")
        # What a process holds in the memory of a CUDA device, the system does not count.
        is_seen = pid is not None and hardware.backend() != "cuda"
        count = resident_bytes(pid) if is_seen and pid is not None else None
        return None if count is None else Held(count, "resident")

    # A second try would be counted as a slow answer.
    async with RemoteModel(row, patience=Patience(tries=1)) as remote:
        yield Opened(remote, None, held, _A_BEAT_S)


def _only_model(row: "Endpoint") -> str:
    from mlxk.contract.encoding import loads
    from mlxk.contract.errors import InvalidDocument

    hint = "name it: --model NAME"
    try:
        rows = loads(_get(row, f"{row.base}/models"), "the answer")["data"]
        # An alias is listed after the model that is its root.
        roots = {each.get("root") or each["id"]: str(each["id"]) for each in reversed(rows)}
        found = [*roots.values()]
    except (InvalidDocument, KeyError, TypeError) as e:
        raise InvalidValue(f"{row.base} does not say which models it has", hint=hint) from e
    if len(found) != 1:
        raise InvalidValue(f"{row.base} has {len(found)} models", hint=hint, models=found)
    return found[0]


def _gauge(row: "Endpoint", model: str) -> int | None:
    """What our own servers say in `/metrics`."""
    try:
        text = _get(row, f"{row.base.removesuffix('/v1')}/metrics").decode(errors="replace")
    except MlxkError:
        return None
    wanted = f'{_GAUGE}{{model="{model}"}} '
    found = [line for line in text.splitlines() if line.startswith(wanted)]
    return int(float(found[0].removeprefix(wanted))) if found else None


def _get(row: "Endpoint", url: str) -> bytes:
    from mlxk.contract.errors import ProviderAuth
    from mlxk.system import asking

    try:
        status, data = asking.get(url, row.headers(), timeout_s=5)
    except OSError as e:
        raise NotFound(f"no server answers at {row.base}", hint="mlxk serve", url=row.base) from e
    if status in (401, 403):
        hint = f"export {row.key_variable}=…, or --api-key-env VAR"
        raise ProviderAuth(f"{url} asks for a key", hint=hint)
    if status != 200:
        raise InvalidValue(f"{url} answers {status}", hint="name the model: --model NAME")
    return data


async def settled(opened: Opened) -> "Held | None":
    """The memory at the end: a server tells it once a second."""
    await asyncio.sleep(opened.settle_s)
    return await asyncio.to_thread(opened.held)
