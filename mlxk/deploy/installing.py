"""Hand deployments, or the supervisor, to the operating system, and take them back."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from mlxk.contract.errors import (
    AlreadyExists,
    InvalidDocument,
    InvalidValue,
    MlxkError,
    NotFound,
)
from mlxk.contract.notes import note
from mlxk.deploy import local, record
from mlxk.deploy.document import GATEWAY
from mlxk.deploy.record import Record
from mlxk.deploy.services import SUPERVISOR, Job, ManagerName, ServiceManager
from mlxk.deploy.store import Store, checked
from mlxk.system import files


@dataclass(frozen=True, slots=True)
class Unit:
    """`content` as it is, or would be, written; null for one that was taken back."""

    name: str
    path: str
    content: str | None
    installed: bool
    loaded: bool


@dataclass(frozen=True, slots=True)
class Installed:
    """`linger`: whether user services outlive the logout; null where nobody says."""

    manager: ManagerName
    units: tuple[Unit, ...]
    linger: bool | None


def jobs(
    store: Store, names: tuple[str, ...], env: Mapping[str, str], python: str
) -> tuple[Job, ...]:
    """What the units run. They name a document: nothing in them goes stale when it is edited."""
    places = tuple((key, env[key]) for key in local.PASSED if env.get(key))
    if "MLXK_HOME" not in dict(places):
        places = (("MLXK_HOME", str(store.home)), *places)
    found = []
    for name in names:
        argv = [python, "-m", "mlxk", "watch"]
        if name == SUPERVISOR:
            _tell_keys(store)
        else:
            _check(store, name)
            argv = [python, "-m", "mlxk", "serve", "--deployment", name]
        log = store.home / "logs" / f"{name}.log"
        found.append(Job(name, tuple(argv), places, log))
    return tuple(found)


def preview(own: ServiceManager, wanted: tuple[Job, ...]) -> Installed:
    """What `install` would write; asks no manager."""
    units = tuple(
        Unit(j.name, str(own.path(j.name)), own.render(j), own.path(j.name).exists(), loaded=False)
        for j in wanted
    )
    return Installed(own.name, units, None)


def install(
    store: Store, own: ServiceManager, wanted: tuple[Job, ...], *, now: bool, force: bool
) -> Installed:
    """Nothing is written when the manager cannot be reached; a unit that fails to load goes."""
    own.check()
    for job in wanted:
        if own.path(job.name).exists() and not force:
            message = f"{job.name} is installed already"
            raise AlreadyExists(message, hint="mlxk install --force", name=job.name)
    units = []
    with files.locked_within(store.lock, 1.0):
        for job in wanted:
            units.append(_install(store, own, job, now=now))
    linger = own.linger()
    if linger is False:
        note("no_linger", "services end at logout: loginctl enable-linger")
    return Installed(own.name, tuple(units), linger)


def uninstall(store: Store, own: ServiceManager, names: tuple[str, ...]) -> Installed:
    units = []
    missing = [name for name in names if not own.path(checked(name)).exists()]
    if missing:
        hint = "mlxk install --dry-run shows where units lie"
        raise NotFound(f"{missing[0]} is not installed", hint=hint, name=missing[0])
    own.check()
    with files.locked_within(store.lock, 1.0):
        for name in names:
            own.unload(name)
            own.path(name).unlink()
            _give_back(store, name)
            path = str(own.path(name))
            units.append(Unit(name, path, None, installed=False, loaded=False))
    return Installed(own.name, tuple(units), own.linger())


def _install(store: Store, own: ServiceManager, job: Job, *, now: bool) -> Unit:
    path, content = own.path(job.name), own.render(job)
    known = record.read(store.home, job.name) or Record(job.name)
    if job.name != SUPERVISOR:
        record.refuse_if_running(store.home, job.name)
    job.log.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomic(path, content.encode())
    try:
        own.load(job.name, now=now)
    except MlxkError:
        path.unlink(missing_ok=True)
        raise
    if job.name != SUPERVISOR:
        desired = "running" if now else known.desired
        record.write(store.home, replace(known, owner=own.name, desired=desired))
    return Unit(job.name, str(path), content, installed=True, loaded=own.is_loaded(job.name))


def _give_back(store: Store, name: str) -> None:
    known = record.read(store.home, name)
    if known is not None:
        record.forget(store.home, name)


def _tell_keys(store: Store) -> None:
    """The supervisor passes on what it has: it must be given what they ask for."""
    names = [*store.names(), GATEWAY]
    keys = set()
    for name in names:
        with suppress(InvalidDocument, NotFound):
            deployment = store.load(name)
            keys |= {deployment.api_key_env, *deployment.engine.keys} - {None}
    if keys:
        listed = ", ".join(sorted(str(key) for key in keys))
        message = f"no secret is written: give {listed} to the service manager"
        note("key_by_reference", message)


def _check(store: Store, name: str) -> None:
    deployment = store.load(name)
    if deployment.engine.name != "mlxk":
        hint = "mlxk install (without a name) installs the supervisor, which runs any engine"
        raise InvalidValue(f"{name} is not served by mlxk itself", hint=hint, name=name)
    if deployment.api_key_env is not None:
        message = f"no secret is written: give {deployment.api_key_env} to the service manager"
        note("key_by_reference", message, "/auth/api_key_env")
    if deployment.server.port is None:
        note("automatic_port", f"{name} takes another port at each start", "/server/port")
