"""Time as we print it: UTC, RFC 3339, with `Z`."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now() -> datetime:
    return datetime.now(UTC)


def stamp(when: datetime) -> str:
    """`2026-01-01T12:00:00Z`; fractions of a second are dropped."""
    return when.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
