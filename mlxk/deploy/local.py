"""Processes that we start and stop ourselves. Knows neither plan nor supervisor."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from mlxk.contract.errors import (
    InvalidValue,
    MlxkError,
    PortConflict,
    StartFailed,
    StartTimeout,
)
from mlxk.deploy import engines, events, probe, record, weigh
from mlxk.deploy.document import GATEWAY, Deployment
from mlxk.deploy.probe import Answer, Target
from mlxk.deploy.record import Owner, Record
from mlxk.deploy.store import Documents, Store
from mlxk.system import process
from mlxk.system.network import free_port, is_free, reachable

# Places and switches that a server needs beside the usual; keys are passed by name only.
PASSED = (
    "MLXK_HOME", "MLXK_WORKSPACE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE",
    "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH",
)  # fmt: skip
_REAP_S = 1.0
_TAIL = 2000


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: between two looks at a start (doubling), and before a stop becomes a kill."""

    first_s: float = 0.5
    cap_s: float = 10.0
    grace_s: float = 10.0
    look_s: float = 5.0


@dataclass(slots=True)
class Host:
    """Everything a start needs from outside; `children` are ours to reap."""

    store: Store
    env: Mapping[str, str]
    limits: Limits = field(default_factory=Limits)
    python: str = sys.executable
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    children: dict[int, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    documents: Documents = field(init=False)

    def __post_init__(self) -> None:
        self.documents = Documents(self.store)


def start(host: Host, deployment: Deployment, owner: Owner = "local") -> Record:
    """Spawn and record; not yet ready. What is left of a dead process goes first."""
    home, name = host.store.home, deployment.name
    known = record.read(home, name) or Record(name)
    sweep(known)
    _has_keys(host, deployment)
    port = _port(deployment, known)
    model = weigh.reference(deployment, home)
    launch = engines.launch(deployment, model, port, host.python)
    env = process.child_environment(host.env, extra=(*PASSED, *launch.keys)) | dict(launch.env)
    child = _spawn(host, name, launch.argv, env)
    host.children[child.pid] = child
    try:
        begun = replace(
            known.of(process.identity(child.pid)),
            desired="on_demand" if known.desired == "on_demand" else "running",
            owner=owner,
            port=port,
            argv=launch.argv,
            config_digest=deployment.digest,
            held=False,
            started_at=host.now(),
            ready_at=None,
        )
        record.write(home, begun)
        events.tell(home, "started", name, pid=child.pid, port=port)
    except BaseException:  # nobody would know of it
        process.kill_group(child.pid)
        raise
    return begun


def wait_ready(host: Host, deployment: Deployment, begun: Record) -> Record:
    """Ready, not only spawned. A start that fails leaves no process."""
    deadline = host.now() + deployment.probe.timeout_s
    pause = host.limits.first_s
    while True:
        if not begun.is_alive():
            raise _ended(host, deployment, begun)
        left = deadline - host.now()
        if left <= 0:
            break
        if is_ready(deployment, begun, host.env, timeout_s=max(0.1, min(left, 10.0))):
            ready = replace(begun, ready_at=host.now(), reason="user", last_exit=None)
            record.write(host.store.home, ready)
            events.tell(host.store.home, "ready", deployment.name, pid=begun.pid)
            return ready
        _pause(host, begun, min(pause, max(0.0, deadline - host.now())))
        pause = min(pause * 2, host.limits.cap_s)
    stop(host, begun)
    fail(host, begun, "probe_timeout")
    raise StartTimeout(
        f"{deployment.name} was not ready within {deployment.probe.timeout_s:g} s",
        hint=f"mlxk logs {deployment.name}",
        name=deployment.name,
    )


def stop(host: Host, known: Record) -> bool:
    """SIGTERM, a grace period, SIGKILL; whether the process ended by itself. Never a stranger."""
    who = known.identity
    if who is None or not known.is_alive():
        sweep(known)
        return True
    _signal(who.pid, signal.SIGTERM)
    graceful = _gone(host, known, host.limits.grace_s)
    if not graceful:
        _signal(who.pid, signal.SIGKILL)
        _gone(host, known, host.limits.grace_s)
    sweep(known)
    return graceful


def sweep(known: Record) -> None:
    """End what a dead leader left of its process group; a group of somebody else's stays."""
    who = known.identity
    if who is None or who.boot != process.boot_id() or process.identity(who.pid) is not None:
        return
    _signal(who.pid, signal.SIGKILL)


def target(deployment: Deployment, known: Record, env: Mapping[str, str]) -> Target:
    key = env.get(deployment.api_key_env) if deployment.api_key_env else None
    return Target(reachable(deployment.server.host), known.port or 0, key)


def is_ready(
    deployment: Deployment, known: Record, env: Mapping[str, str], *, timeout_s: float
) -> bool:
    """Whether a token can be made. Our own server says so truthfully; others have to make one."""
    answer = ask_ready(deployment, target(deployment, known, env), timeout_s)
    return answer is not None and answer.is_good


def ask_ready(deployment: Deployment, where: Target, timeout_s: float) -> Answer | None:
    how = deployment.probe.ready or (
        deployment.probe.live if deployment.engine.name == "mlxk" else "completion"
    )
    if how != "completion":
        return probe.get(where, how, timeout_s)
    return probe.complete(where, deployment.server.model_id or deployment.model, timeout_s)


def ending(host: Host, known: Record) -> str:
    """How a process ended, as far as we can know: we must have started it."""
    child = host.children.get(known.pid or 0)
    if child is None:
        return "exit:unknown"
    try:
        # It is dead already, but its last threads may still be on their way out.
        code = child.wait(timeout=_REAP_S)
    except subprocess.TimeoutExpired:
        return "exit:unknown"
    return f"signal:{-code}" if code < 0 else f"exit:{code}"


def fail(host: Host, known: Record, reason: str) -> Record:
    """It should run, and does not."""
    failed = replace(known, reason=reason, last_exit=ending(host, known), ready_at=None)
    record.write(host.store.home, failed)
    events.tell(host.store.home, "failed", known.name, reason=reason)
    return failed


def _spawn(
    host: Host, name: str, argv: tuple[str, ...], env: dict[str, str]
) -> "subprocess.Popen[bytes]":
    """A session of its own: it survives us, and its group can be ended as a whole."""
    path = host.store.home / "logs" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        return subprocess.Popen(
            argv,
            env=env,
            cwd=host.store.home,
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=fd,
            start_new_session=True,
        )
    except (OSError, ValueError) as e:
        raise StartFailed(f"{name}: cannot start {argv[0]}: {e}", name=name) from e
    finally:
        os.close(fd)


def _has_keys(host: Host, deployment: Deployment) -> None:
    name = deployment.api_key_env
    if name and not host.env.get(name):
        message = f"{deployment.name} asks for a key, and {name} is not set"
        raise InvalidValue(message, hint=f"export {name}=…", name=deployment.name)


def _port(deployment: Deployment, known: Record) -> int:
    host = deployment.server.host
    wanted = deployment.server.port
    if wanted is None:
        again = known.port
        return again if again is not None and is_free(host, again) else free_port(host)
    if not is_free(host, wanted):
        hint = f"mlxk deploy set {deployment.name} server.port=auto"
        if deployment.name == GATEWAY:
            hint = "mlxk config set gateway-port N"
        message = f"port {wanted} of {deployment.name} is in use"
        raise PortConflict(message, hint=hint, port=wanted)
    return wanted


def _ended(host: Host, deployment: Deployment, begun: Record) -> MlxkError:
    sweep(begun)
    how = ending(host, begun)
    fail(host, begun, how)
    path = host.store.home / "logs" / f"{deployment.name}.log"
    tail = b""
    with suppress(OSError):
        tail = path.read_bytes()[-_TAIL:]
    return StartFailed(
        f"{deployment.name} ended before it was ready ({how})",
        hint=f"mlxk logs {deployment.name}",
        name=deployment.name,
        log_tail=tail.decode(errors="replace"),
    )


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _gone(host: Host, known: Record, within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if not known.is_alive():
            return True
        time.sleep(0.02)
    return not known.is_alive()


def _pause(host: Host, begun: Record, seconds: float) -> None:
    """Sleep, but not on after the process has ended."""
    step = 0.1
    while seconds > 0 and begun.is_alive():
        host.sleep(min(step, seconds))
        seconds -= step
