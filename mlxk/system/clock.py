"""Time as we print it: UTC, RFC 3339, with `Z`; and durations as people write them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf

from mlxk.contract.errors import InvalidValue

Clock = Callable[[], datetime]
_UNITS = {"": 1.0, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LIFE_S = 3e9
_PART = r"(\d{1,12}(?:\.\d{1,9})?)(ns|us|ms|h|m|s|)"


def now() -> datetime:
    return datetime.now(UTC)


def stamp(when: datetime) -> str:
    """`2026-01-01T12:00:00Z`; fractions of a second are dropped."""
    return when.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def seconds(duration: str | float) -> float:
    """By Ollama's grammar: `5m`, `1h30m`, a number of seconds; what is negative is for ever.

    So is what is longer than a human life: calendars end.
    """
    text = str(duration).strip()
    if text.startswith("-") and text[1:2].isdigit():
        return inf
    parts = re.findall(_PART, text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InvalidValue(f"{duration!r} is no duration", hint="5m, 1h30m, 90, or -1 for ever")
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return total if total < _LIFE_S else inf
