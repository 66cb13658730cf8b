"""How far sessions are from the user's HEAD: one look at its past serves a whole listing."""

from dataclasses import dataclass

from mlxk.history import commits, diff
from mlxk.history.landings import origin
from mlxk.history.record import Record
from mlxk.history.store import Store


@dataclass(frozen=True, slots=True)
class Distance:
    ahead: int  # code commits since the session's base
    behind: int | None  # commits of HEAD that the session has not; None on an unborn branch


class Distances:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._head = self._next = store.head()
        self._places: dict[str, int] = {}  # commits below HEAD, as far as its past is one line
        self._origins: dict[str, str | None] = {}

    def of(self, record: Record) -> Distance:
        if record.commits is None:  # somebody else's commits are among them
            ahead = diff.divergence(self._store, record.code, record.base).ahead
            return Distance(ahead, self._counted(record.code))
        if record.base not in self._origins:
            self._origins[record.base] = origin(self._store, record.base)
        start = self._origins[record.base]
        place = self._place(start) if start else None
        return Distance(record.commits, self._counted(record.code) if place is None else place)

    def _counted(self, code: str) -> int | None:
        return diff.divergence(self._store, code, self._head).behind if self._head else None

    def _place(self, commit: str) -> int | None:
        while commit not in self._places and self._next is not None:
            at = self._next
            self._places[at] = len(self._places)
            parents = commits.decode(self._store.read_commit(at)).parents
            self._next = parents[0] if len(parents) == 1 else None
        return self._places.get(commit)
