"""The gateway as a process to be started like a deployment, from what the stack says of it."""

import os
import signal
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlxk.contract.errors import InvalidDocument, NotFound
from mlxk.deploy import document, record
from mlxk.deploy.document import GATEWAY, Deployment
from mlxk.deploy.stack import Gateway, Stack
from mlxk.system.network import reachable, url

if TYPE_CHECKING:
    from mlxk.deploy.store import Store

_CLOUD_KEY = "OPENROUTER_API_KEY"


def deployment(store: "Store") -> Deployment:
    """Alive when it answers: that a model of it is dead is no reason to start it again."""
    stack, about = declared(store)
    port = store.settings().count("gateway-port") if about.port is None else about.port
    value: dict[str, Any] = {
        "name": GATEWAY,
        "model": f"mlxk/{GATEWAY}",
        "engine": {"command": ["${PYTHON}", "-m", "mlxk", "gateway", "--json"]},
        "server": {"host": about.host, "port": port or "auto"},
        "probe": {"live": "/", "ready": "/", "timeout_s": 60},
        "auth": {"api_key_env": about.api_key_env} if about.api_key_env else {},
    }
    names = keys(store, stack)
    made = document.unchecked({**value, "stack": stack.name, "is": asdict(about), "keys": names})
    return replace(made, engine=replace(made.engine, keys=names))


def declared(store: "Store") -> tuple[Stack, Gateway]:
    stack = store.active()
    if stack is None:
        raise NotFound("no stack is active", hint="mlxk init", name=GATEWAY)
    if stack.gateway is None:
        hint = f'"gateway": {{}} in {store.stack_path(stack.name)}'
        raise NotFound(f"the stack {stack.name} has no gateway", hint=hint, name=GATEWAY)
    return stack, stack.gateway


def keys(store: "Store", stack: Stack) -> tuple[str, ...]:
    """The variables whose values it needs: its deployments' keys and, if allowed, the cloud's."""
    found = []
    for name in stack.deployments:
        with suppress(InvalidDocument, NotFound):
            found.append(store.load(name).api_key_env)
    if stack.cloud.enabled:
        found.append(cloud_key(store))
    return tuple(dict.fromkeys(name for name in found if name))


def cloud_key(store: "Store") -> str:
    """The name of the variable, never its value."""
    return str(store.settings().get("openrouter-key") or _CLOUD_KEY)


def is_there(store: "Store", stack: Stack | None, *, running: bool = False) -> bool:
    """Declared, or (`running`) left from when it was."""
    declared = stack is not None and stack.gateway is not None
    return declared or (running and record.read(store.home, GATEWAY) is not None)


def endpoint(store: "Store") -> str | None:
    """Where a running one is asked."""
    known = record.read(store.home, GATEWAY)
    stack = store.active()
    if known is None or known.port is None or not known.is_alive():
        return None
    host = stack.gateway.host if stack and stack.gateway else "127.0.0.1"
    return url(reachable(host), known.port)


def converge(home: Path) -> None:
    """Let a running one read the documents again. One that is only starting will read them."""
    known = record.read(home, GATEWAY)
    if known is not None and known.ready_at is not None and known.pid and known.is_alive():
        with suppress(ProcessLookupError):
            os.kill(known.pid, signal.SIGHUP)
