"""`kill -HUP`: a server reads its document again, and its model stays where it is."""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from math import inf
from typing import Any

from mlxk.cli.declared import Asked, declared, settled
from mlxk.contract import encoding
from mlxk.contract.errors import MlxkError
from mlxk.hub import names
from mlxk.server.residency import Resident
from mlxk.server.state import ServerState
from mlxk.system import clock
from mlxk.system.running import Running

# Everything else of a document is what the engine process was started with.
_LIVE = frozenset(("model_id", "api_key_env", "keep_alive"))


@dataclass(slots=True)
class Reload:
    """`served` is what the document said when it was last read. `key` finds a key's value; `tell`
    announces what is `running`.
    """

    name: str
    served: Asked
    key: Callable[[str | None], str | None]
    tell: Callable[[Running], None] | None = None
    running: Running | None = None

    def __call__(self, state: ServerState, resident: Resident) -> None:
        """A document that is wrong changes nothing; the log says what happened."""
        try:
            asked = declared(self.name)
            key = self.key(asked.api_key_env)
        except MlxkError as e:
            return _log(state, "reload_failed", message=str(e))
        changed = _changed(self.served, asked)
        frozen = [name for name in changed if name not in _LIVE]
        self.served = replace(self.served, **{name: getattr(asked, name) for name in _LIVE})
        state.options = replace(state.options, api_key=key)
        resident.stay(clock.seconds(asked.keep_alive) if asked.keep_alive else inf)
        if "model_id" in changed:
            resident.name = asked.model_id or names.resolve(self.served.model).name
            state.models = {resident.name: resident}
        self._announce(resident.name)
        if not frozen:
            self.served = replace(self.served, digest=asked.digest)
            settled(self.name, asked.digest)
        return _log(state, "reloaded", changed=changed, restart_for=frozen)

    def _announce(self, name: str) -> None:
        if self.tell is not None and self.running is not None:
            models = {name: next(iter(self.running.models.values()))}
            self.running = replace(self.running, key_env=self.served.api_key_env, models=models)
            self.tell(self.running)


def _changed(before: Asked, after: Asked) -> list[str]:
    names = (each.name for each in fields(Asked) if each.name != "digest")
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def _log(state: ServerState, event: str, **facts: Any) -> None:
    if state.options.log is not None:
        about = {"time": clock.stamp(state.clock()), "event": event, "pid": os.getpid(), **facts}
        state.options.log(encoding.dumps(about, newline=True))
