"""What a landing is about to do to a checkout, so that the next one can end what a kill cut off."""

import os
import secrets
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from threading import get_ident
from typing import Self

from mlxk.contract.encoding import dumps, loads
from mlxk.contract.errors import InvalidDocument
from mlxk.system.files import translated, write_atomic
from mlxk.system.process import Identity, identity, is_alive

_NAME = "mlxk-landing"


@dataclass(frozen=True, slots=True)
class Journal:
    """`holds` are digests of what git's index lock may hold while it is ours."""

    pid: int
    started: str
    boot: str
    ref: str
    before: str | None
    commit: str
    holds: tuple[str, ...]

    @classmethod
    def begin(cls, control: Path, ref: str, before: str | None, commit: str) -> Self:
        """Take git's index lock, told beforehand. FileExistsError when somebody has it."""
        lock = control / "index.lock"
        if lock.exists():
            raise FileExistsError(lock)
        me = identity() or Identity(os.getpid(), "", "")
        token = f"mlxk {secrets.token_hex(16)}\n".encode()
        begun = cls(me.pid, me.started, me.boot, ref, before, commit, (_digest(token),))
        begun._write(control)
        temporary = _temporary(control)
        with translated(lock):
            temporary.write_bytes(token)
            try:
                os.link(temporary, lock)
            finally:
                temporary.unlink()
        return begun

    @classmethod
    def read(cls, control: Path) -> Self | None:
        try:
            value = loads((control / _NAME).read_bytes(), _NAME)
            return cls(**{field.name: value[field.name] for field in fields(cls)})
        except (FileNotFoundError, InvalidDocument, KeyError, TypeError):
            return None

    @property
    def is_abandoned(self) -> bool:
        return not is_alive(Identity(self.pid, self.started, self.boot))

    def locks(self, lock: Path) -> bool:
        """Whether the lock is still the one of this landing."""
        try:
            return _digest(lock.read_bytes()) in self.holds
        except FileNotFoundError:
            return False

    def fill(self, control: Path, data: bytes) -> None:
        """Put the new index into the lock, whole."""
        replace(self, holds=(*self.holds, _digest(data)))._write(control)
        temporary = _temporary(control)
        with translated(temporary):
            temporary.write_bytes(data)
            temporary.rename(control / "index.lock")

    def _write(self, control: Path) -> None:
        write_atomic(control / _NAME, dumps(asdict(self)))


def end(control: Path) -> None:
    """The landing is over, one way or the other."""
    with translated(control):
        for file in (control / _NAME, *control.glob(f"{_NAME}.[0-9]*")):
            file.unlink(missing_ok=True)


def _temporary(control: Path) -> Path:
    return control / f"{_NAME}.{os.getpid()}.{get_ident()}"


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
