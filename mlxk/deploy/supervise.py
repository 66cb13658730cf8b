"""Keep what should run running: one look at every process, again and again. Owns no other's."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from mlxk.contract.errors import InvalidDocument, InvalidValue, Locked, MlxkError, NotFound
from mlxk.deploy import backoff, events, local, logs, probe, record
from mlxk.deploy.document import Deployment
from mlxk.deploy.local import Host
from mlxk.deploy.probe import Answer
from mlxk.deploy.record import Record
from mlxk.system import files, process

Kind = Literal["died", "restarted", "ready", "hung", "held", "failed", "rotated"]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of `--events`, and of the event log."""

    type: Kind
    name: str
    reason: str | None
    pid: int | None


class Supervisor:
    """`names` None: everything of ours. What happened between polls is read from the records."""

    def __init__(self, host: Host, names: tuple[str, ...] | None = None) -> None:
        self._host = host
        self._home = host.store.home
        self._names = names
        self._misses: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._troubles: dict[str, str] = {}

    def poll(self) -> list[Event]:
        """One look at each. A mutation that another process holds the lock for waits."""
        happened: list[Event] = []
        for name in self._names or record.names(self._home):
            try:
                happened += self._look(name)
                self._troubles.pop(name, None)
            except (MlxkError, OSError) as e:
                happened += self._trouble(name, e)
        with suppress(MlxkError, OSError):  # a full disk ends no supervision
            self._rotate(logs.EVENTS, None)
            for event in happened:
                if event.type not in ("restarted", "failed"):
                    events.tell(self._home, event.type, event.name, reason=event.reason)
        return happened

    def _look(self, name: str) -> Iterator[Event]:
        known = record.read(self._home, name)
        if known is None or known.desired == "stopped" or known.owner != "local":
            return
        deployment = self._document(name)
        if deployment is None:
            return
        if known.is_alive():
            yield from self._live(deployment, known)
        elif known.desired == "running":
            yield from self._dead(deployment, known)
        yield from self._rotate(name, known)

    def _trouble(self, name: str, error: MlxkError | OSError) -> Iterator[Event]:
        """What keeps us from looking after one is told once, and the others go on."""
        reason = error.type if isinstance(error, MlxkError) else "io_error"
        if self._troubles.get(name) != reason:
            self._troubles[name] = reason
            yield Event("failed", name, reason, None)

    def _dead(self, deployment: Deployment, known: Record) -> list[Event]:
        happened = []
        if known.pid is not None:
            known = self._buried(known)
            happened.append(Event("died", known.name, known.last_exit, None))
        if known.held:
            return happened
        now, boot = self._host.now(), process.boot_id()
        decision = backoff.decide(deployment.restart, known, now, boot)
        if decision.action == "hold":
            self._change(replace(known, held=True, next_try_at=None))
            happened.append(Event("held", known.name, known.last_exit, None))
        elif decision.action == "start":
            happened += self._start(deployment, known, now, boot)
        elif known.next_try_at is None:
            self._change(replace(known, next_try_at=decision.at))
        return happened

    def _start(self, deployment: Deployment, known: Record, now: float, boot: str) -> list[Event]:
        """The attempt is counted before it is made: a crash of ours does not forget it."""
        try:
            with files.locked(self._host.store.lock):
                fresh = record.read(self._home, known.name)
                if fresh is None or fresh.desired != "running" or fresh.is_alive():
                    return []
                record.write(self._home, backoff.tried(deployment.restart, fresh, now, boot))
                begun = local.start(self._host, deployment)
        except Locked:
            return []
        except MlxkError as e:
            return [Event("failed", known.name, e.type, None)]
        self._misses.pop(known.name, None)
        return [Event("restarted", known.name, known.last_exit, begun.pid)]

    def _live(self, deployment: Deployment, known: Record) -> list[Event]:
        host, limits = self._host, self._host.limits
        if known.ready_at is None:
            if local.is_ready(deployment, known, host.env, timeout_s=limits.look_s):
                self._change(replace(known, ready_at=host.now()))
                return [Event("ready", known.name, None, known.pid)]
            age = host.now() - (known.started_at or host.now())
            return self._hung(known) if age > deployment.probe.timeout_s else []
        where = local.target(deployment, known, host.env)
        answer = probe.get(where, deployment.probe.live, limits.look_s)
        if answer is not None and (answer.is_good or answer.is_idle):
            self._misses.pop(known.name, None)
            settled = backoff.settled(deployment.restart, known, host.now())
            if settled is not known:
                self._change(settled)
            return []
        if self._progresses(known.name, answer):
            self._misses.pop(known.name, None)
            return []
        self._misses[known.name] = self._misses.get(known.name, 0) + 1
        patience = deployment.probe.liveness_failures
        return self._hung(known) if self._misses[known.name] >= patience else []

    def _hung(self, known: Record) -> list[Event]:
        """Stopped here; the next poll finds it dead and decides."""
        try:
            with files.locked(self._host.store.lock):
                local.stop(self._host, known)
                how = replace(known, reason="probe_timeout", ready_at=None)
                record.write(self._home, how)
        except Locked:
            return []
        self._misses.pop(known.name, None)
        return [Event("hung", known.name, "probe_timeout", known.pid)]

    def _progresses(self, name: str, answer: Answer | None) -> bool:
        """A request is being worked on: the server says so, or goes on writing its log."""
        active = (answer.body or {}).get("active_sequences") if answer else 0
        size = logs.size(self._home, name)
        grew = name in self._sizes and size > self._sizes[name]
        self._sizes[name] = size
        return grew or (isinstance(active, int) and active > 0)

    def _buried(self, known: Record) -> Record:
        local.sweep(known)
        how = local.ending(self._host, known)
        reason = known.reason if known.reason == "probe_timeout" else how
        dead = replace(known.of(None), last_exit=how, reason=reason, ready_at=None)
        self._host.children.pop(known.pid or 0, None)
        return self._change(dead, pid=known.pid)

    def _change(self, changed: Record, *, pid: int | None = None) -> Record:
        """Written unless somebody else changed it in the meantime."""
        try:
            with files.locked(self._host.store.lock):
                fresh = record.read(self._home, changed.name)
                same = fresh is not None and fresh.pid == (pid or changed.pid)
                if same and fresh is not None and fresh.desired != "stopped":
                    record.write(self._home, changed)
        except Locked:
            pass
        return changed

    def _rotate(self, name: str, known: Record | None) -> list[Event]:
        settings = self._host.store.settings()
        limit = settings.count("log-max-size-mb") << 20
        if logs.size(self._home, name) < limit:
            return []
        logs.rotate(self._home, name, settings.count("log-max-files"), known)
        self._sizes.pop(name, None)
        return [Event("rotated", name, None, known.pid if known else None)]

    def _document(self, name: str) -> Deployment | None:
        try:
            return self._host.documents.load(name)
        except (InvalidDocument, InvalidValue, NotFound):
            return None
