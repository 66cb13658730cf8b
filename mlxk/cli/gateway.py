"""`mlxk gateway`: one address in front of the active stack, until a signal."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from mlxk.cli.registry import Ongoing, command

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable

    from mlxk.cli.gatehouse import Cloud
    from mlxk.deploy.local import Host
    from mlxk.deploy.stack import Stack
    from mlxk.server.exchange import Exchange
    from mlxk.server.state import ServerOptions

_LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class Name:
    """What may be asked for. `answers`: the deployments that answer in turn."""

    name: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """`cloud`: whether what is asked may leave this machine."""

    url: str
    host: str
    port: int
    pid: int
    stack: str
    models: tuple[Name, ...]
    cloud: bool


@command("gateway", lambda value, _: _greeting(value))
def gateway(
    port: Annotated[
        str | None, typer.Option(help="Instead of the stack's; `auto` for a free one.")
    ] = None,
    log: Annotated[
        str, typer.Option(help="Where a line about each request goes; `-` is standard error.")
    ] = "-",
) -> "Ongoing":
    """Answer for all deployments of the active stack at one address; `mlxk up` starts it.

    A request names a route (standard, fast), a deployment or its model. What is declared as
    on-demand is started for it, and unloaded when memory is needed or its keep_alive is over.
    SIGHUP reads the documents again.

    mlxk gateway

    mlxk gateway --port auto --json | jq -r .data.url
    """
    from mlxk.cli.drive import drive
    from mlxk.cli.listen import key_of, log_to, port_number
    from mlxk.deploy import checking
    from mlxk.deploy import gateway as front
    from mlxk.deploy.local import Host
    from mlxk.deploy.store import Store
    from mlxk.server.state import ServerOptions
    from mlxk.system import paths

    store = Store(paths.home())
    _, about = front.declared(store)
    document = front.deployment(store)
    checking.warn(document)
    wanted = port or os.environ.get("MLXK_PORT") or str(document.server.port or "auto")
    options = ServerOptions(
        host=about.host, api_key=key_of(about.api_key_env), log=log_to(log), metrics=about.metrics
    )
    service = drive(_service(Host(store, os.environ), port_number(wanted), options))
    return Ongoing(next(service), service)


async def _service(
    host: "Host", port: int, options: "ServerOptions"
) -> "AsyncGenerator[Opened, None]":
    """Yields once, when it listens; then answers until it is cancelled or not wanted any more."""
    import asyncio
    import signal
    from contextlib import AsyncExitStack

    from mlxk.cli.gatehouse import Cloud, recorded
    from mlxk.contract.errors import Locked
    from mlxk.deploy import gateway as front
    from mlxk.server.app import drain, listening, make_app
    from mlxk.server.exchange import Exchange
    from mlxk.server.residency import House
    from mlxk.server.state import STATE
    from mlxk.system import files, network

    network.expect_many()
    stack, about = front.declared(host.store)
    changed = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, changed.set)
    app = make_app({}, options)
    house = House(
        0, patience_s=about.queue_timeout_s, places=about.max_queue, wait_s=about.queue_timeout_s
    )
    async with AsyncExitStack() as opened:
        try:
            opened.enter_context(files.locked(host.store.home / "gateway.lock"))
        except Locked as e:
            # Two in one home would start and end the same processes.
            raise Locked("a gateway runs already", hint="mlxk status") from e
        exchange = Exchange(house, app[STATE])
        opened.push_async_callback(exchange.leave)
        cloud = Cloud(opened)
        answers = await _arranged(host, stack, exchange, cloud)
        address = await opened.enter_async_context(listening(app, port))
        await opened.enter_async_context(recorded(host, address.port))
        models, may_leave = answers
        yield Opened(
            address.url, address.host, address.port, os.getpid(), stack.name, models, may_leave
        )
        try:
            await _kept(host, exchange, cloud, changed, options.log)
        except asyncio.CancelledError as e:
            await drain(app, patient="SIGTERM" not in e.args)


async def _arranged(
    host: "Host", stack: "Stack", exchange: "Exchange", cloud: "Cloud"
) -> tuple[tuple[Name, ...], bool]:
    import asyncio

    from mlxk.cli import gatehouse

    abroad = await cloud.models(stack, gatehouse.cloud_key(host))
    plan = await asyncio.to_thread(gatehouse.plan, host, stack, abroad)
    await exchange.arrange(plan)
    names: dict[str, tuple[str, ...]] = dict(plan.routes)
    names |= {lodger.place.name: (lodger.place.name,) for lodger in plan.lodgers}
    names |= dict.fromkeys((name for name, _ in abroad), ())
    return tuple(Name(name, answers) for name, answers in names.items()), bool(abroad)


async def _kept(
    host: "Host",
    exchange: "Exchange",
    cloud: "Cloud",
    changed: "asyncio.Event",
    tell: "Callable[[bytes], object] | None",
) -> None:
    """Look at all, again and again; read the documents again when that is asked for."""
    import asyncio

    from mlxk.contract.errors import MlxkError, NotFound
    from mlxk.deploy import demand
    from mlxk.deploy import gateway as front
    from mlxk.deploy.document import GATEWAY
    from mlxk.deploy.record import forget

    while True:
        try:
            async with asyncio.timeout(_LOOK_S):
                await changed.wait()
        except TimeoutError:
            demand.reap(host)
            await exchange.look()
            continue
        changed.clear()
        try:
            stack, _ = front.declared(host.store)
            await _arranged(host, stack, exchange, cloud)
        except NotFound:
            forget(host.store.home, GATEWAY)
            return
        except MlxkError as e:
            if tell is not None:
                tell(_complaint(e))


def _complaint(error: Exception) -> bytes:
    from mlxk.contract import encoding
    from mlxk.system.clock import now, stamp

    line = {"time": stamp(now()), "event": "documents_not_read", "message": str(error)}
    return encoding.dumps(line, newline=True)


def _greeting(value: Opened) -> str:
    names = ", ".join(model.name for model in value.models)
    return f"{names} at {value.url} (Ctrl-C ends it)"
