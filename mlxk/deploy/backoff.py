"""When a process that died is started again, and when it is given up. Pure."""

from dataclasses import dataclass, replace
from typing import Literal

from mlxk.deploy.document import Restart
from mlxk.deploy.record import Attempt, Record

_UNCLEAN_WINDOW_S = 1800.0
_UNCLEAN_BOOTS = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """`at`: not before this time (seconds since 1970)."""

    action: Literal["start", "wait", "hold"]
    at: float


def decide(policy: Restart, record: Record, now: float, boot_id: str) -> Decision:
    """What to do with a deployment that should run and does not."""
    if record.held or policy.policy == "never":
        return Decision("hold", now)
    recent = [a for a in record.restarts if now - a.at < policy.window_s]
    if len(recent) >= policy.max or _boots_are_unclean(record, now, boot_id):
        return Decision("hold", now)
    at = record.next_try_at
    if at is None:
        at = now + delay(policy, len(recent)) if recent else now
    return Decision("start" if now >= at else "wait", at)


def delay(policy: Restart, count: int) -> float:
    """Doubles from base to cap."""
    return float(min(policy.cap_s, policy.base_s * 2 ** min(max(0, count - 1), 30)))


def tried(policy: Restart, record: Record, now: float, boot_id: str) -> Record:
    """One restart more; what is older than every window is forgotten."""
    oldest = now - max(policy.window_s, _UNCLEAN_WINDOW_S)
    kept = tuple(a for a in record.restarts if a.at >= oldest)
    attempts = (*kept, Attempt(now, boot_id))
    recent = [a for a in attempts if now - a.at < policy.window_s]
    return replace(record, restarts=attempts, next_try_at=now + delay(policy, len(recent)))


def settled(policy: Restart, record: Record, now: float) -> Record:
    """Ready for long enough: earlier failures do not count any more."""
    is_stable = record.ready_at is not None and now - record.ready_at >= policy.stable_s
    if not is_stable or not (record.restarts or record.next_try_at):
        return record
    return replace(record, restarts=(), next_try_at=None)


def cleared(record: Record) -> Record:
    return replace(record, held=False, restarts=(), next_try_at=None)


def _boots_are_unclean(record: Record, now: float, boot_id: str) -> bool:
    """The machine went down twice in half an hour with this running: it may be the cause."""
    boots = {a.boot_id for a in record.restarts if now - a.at < _UNCLEAN_WINDOW_S}
    return len(boots - {boot_id}) >= _UNCLEAN_BOOTS
