"""The one shape every command prints."""

from dataclasses import dataclass
from typing import Any, Literal

from mlxk.contract.notes import Note

Status = Literal["success", "error"]


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    type: str
    message: str
    hint: str | None
    retryable: bool
    details: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Envelope:
    """`data` may stand beside an `error`: what was done before the failure."""

    status: Status
    command: str
    data: Any
    error: ErrorInfo | None
    warnings: tuple[Note, ...] = ()
