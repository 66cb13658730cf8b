"""`mlxk serve`: compose hub, engines and server, until a signal."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlxk.cli import division, guessing
from mlxk.cli.registry import Ongoing, command

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from mlxk.cli.reloading import Reload
    from mlxk.cli.residents import Wanted
    from mlxk.server.state import ServerOptions


@dataclass(frozen=True, slots=True)
class ServedModel:
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Served:
    url: str
    host: str
    port: int
    pid: int
    models: tuple[ServedModel, ...]


@command("serve", lambda value, _: _greeting(value))
def serve(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="What to serve.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[str, typer.Option(help="Port, or `auto` for a free one.")] = "8000",
    api_key_env: Annotated[
        str | None, typer.Option(help="Ask clients for the key in this environment variable.")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="Ask clients for the key in this file, which is yours only.")
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=16, help="Longest conversation, in tokens.")
    ] = None,
    max_concurrency: Annotated[
        int | None, typer.Option(min=1, help="Answers made at the same time; others wait.")
    ] = None,
    kv_bits: Annotated[
        int | None, typer.Option(help="Keep keys and values in 4 or 8 bits: less memory.")
    ] = None,
    draft: guessing.Draft = "auto",
    prefix_cache_dir: Annotated[
        Path | None,
        typer.Option(help="Where prompts that were read are kept.  [default: in $MLXK_HOME]"),
    ] = None,
    prefix_cache_size: Annotated[
        float, typer.Option(min=0, help="Gigabytes that they may take on disk; 0 is none.")
    ] = 16,
    ranks: division.Ranks = None,
    hostfile: division.Hostfile = None,
    backend: division.Backend = None,
    keep_alive: Annotated[
        str | None, typer.Option(help="Unload a model idle so long: 5m, 1h; -1 is never.")
    ] = None,
    memory_gb: Annotated[
        float | None, typer.Option(min=0.001, help="Memory that all models may need together.")
    ] = None,
    alias: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=MODEL", help="Another name of a model; `*=…` is any other."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Web pages from there may ask, too; `*` is any page."),
    ] = None,
    log: Annotated[
        str, typer.Option(help="Where a line about each request goes; `-` is standard error.")
    ] = "-",
    deployment: Annotated[
        str | None, typer.Option(help="Serve what this document declares; it decides everything.")
    ] = None,
) -> "Ongoing":
    """Serve models to OpenAI, Anthropic and Gemini clients; printed once, when they are ready.

    Of several models those that fit are loaded now, the others when they are asked for.

    mlxk serve mlx-community/Qwen3-4B-4bit

    mlxk serve Qwen3-4B-4bit --port auto --json | jq -r .data.url
    """
    from mlxk.cli import local
    from mlxk.cli.drive import drive
    from mlxk.cli.listen import key_in, key_of, log_to, port_number
    from mlxk.cli.residents import Wanted
    from mlxk.contract.errors import UsageError
    from mlxk.contract.notes import note
    from mlxk.engine import named
    from mlxk.engine.options import EngineOptions
    from mlxk.engine.ranks import divided
    from mlxk.server.state import ServerOptions
    from mlxk.system.network import is_loopback
    from mlxk.system.paths import prefix_cache

    if api_key_file is not None and (api_key_env or deployment):
        raise UsageError("the key has one place", hint="--api-key-file alone, without a document")
    model_id = reload = None
    if deployment is not None:
        from mlxk.cli.declared import declared
        from mlxk.cli.reloading import Reload

        asked = declared(deployment)
        reload = Reload(deployment, asked, key_of)
        models, host, port, api_key_env = [asked.model], asked.host, asked.port, asked.api_key_env
        context, max_concurrency = asked.context, asked.max_concurrency
        model_id, kv_bits, keep_alive = asked.model_id, asked.kv_bits, asked.keep_alive
        draft = asked.draft
    number = port_number(port)
    options = ServerOptions(
        host=host,
        api_key=key_of(api_key_env) or key_in(api_key_file),
        aliases=_aliases(alias or []),
        origins=_origins(allow_origin or []),
        log=log_to(log),
    )
    if not is_loopback(host) and options.api_key is None:
        message = f"anyone who reaches {host} may use this server"
        note("open_server", f"{message}: set --api-key-env or --api-key-file")
    limits = EngineOptions(
        context=context,
        rows=max_concurrency or EngineOptions().rows,
        kv_bits=_bits(kv_bits),
        prefix_cache_folder=(prefix_cache_dir or prefix_cache()) if prefix_cache_size else None,
        prefix_cache_bytes=int(prefix_cache_size * 1e9),
        ranks=divided(ranks, hostfile, backend),
        draft=named.draft(draft),
    )
    names = tuple(models or [local.named(None, "mlxk serve MODEL")])
    wanted = Wanted(names, limits, keep_alive, memory_gb, model_id, api_key_env, api_key_file)
    service = drive(_service(wanted, number, options, reload))
    value = next(service)
    if reload is not None:
        from mlxk.cli.declared import adopt

        adopt(reload.name, reload.served.digest, value.port)
    return Ongoing(value, service)


async def _service(
    wanted: "Wanted", port: int, options: "ServerOptions", reload: "Reload | None"
) -> "AsyncGenerator[Served, None]":
    """Yields once, when a token can be made; then serves until it is cancelled."""
    import asyncio
    from contextlib import AsyncExitStack
    from functools import partial

    from mlxk.cli.residents import folders, residents
    from mlxk.server.app import Address, drain, listening, make_app
    from mlxk.server.state import STATE
    from mlxk.system.network import expect_many, reachable
    from mlxk.system.running import Running, announced

    expect_many()
    lodgers, first = residents(wanted)
    app = make_app({each.name: each for each in lodgers}, options)
    for target in options.aliases.values():
        app[STATE].pick(target)  # ModelNotFound now rather than at the first request
    _heed_hangup(partial(reload, app[STATE], lodgers[0]) if reload is not None else None)
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(listening(app, port))
        for each in lodgers:
            stack.push_async_callback(each.close)
        await asyncio.gather(*(each.ready() for each in first))
        states = tuple(ServedModel(each.name, each.stats.phase) for each in lodgers)
        here = Address(reachable(address.host), address.port)
        key_file = str(wanted.key_file.resolve()) if wanted.key_file else None
        running = Running(here.url, wanted.key_env, folders(wanted, lodgers), key_file)
        tell = stack.enter_context(announced(running))
        if reload is not None:
            reload.tell, reload.running = tell, running
        yield Served(address.url, address.host, address.port, os.getpid(), states)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as e:
            await drain(app, patient="SIGTERM" not in e.args)


def _heed_hangup(reload: "Callable[[], None] | None") -> None:
    """SIGHUP reads the document again; without one it ends the server as SIGTERM does, unless it
    was started to outlive its terminal (nohup). A terminal that closes may send several."""
    import asyncio
    import signal

    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.raise_signal(signal.SIGTERM)

    if reload is not None or signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, reload or end)


def _bits(number: int | None) -> int | None:
    from mlxk.contract.errors import UsageError

    if number not in (None, 4, 8):
        raise UsageError(f"keys and values are not kept in {number} bits", hint="--kv-bits 8")
    return number


def _aliases(texts: list[str]) -> dict[str, str]:
    from mlxk.contract.errors import UsageError

    aliases: dict[str, str] = {}
    for text in texts:
        name, _, model = text.partition("=")
        if not name or not model:
            raise UsageError(f"{text!r} is no alias", hint="--alias gpt-5=builtin:tiny")
        aliases[name] = model
    return aliases


def _origins(texts: list[str]) -> frozenset[str]:
    """As browsers write them: no path, and no slash at the end."""
    from urllib.parse import urlsplit

    from mlxk.contract.errors import UsageError

    for text in texts:
        if text != "*" and (not urlsplit(text).netloc or urlsplit(text).path not in ("", "/")):
            raise UsageError(f"{text!r} is no origin", hint="--allow-origin https://chat.example")
    return frozenset(text.rstrip("/") for text in texts)


def _greeting(value: Served) -> str:
    names = ", ".join(model.name for model in value.models)
    return f"Serving {names} at {value.url} (Ctrl-C ends it)"
