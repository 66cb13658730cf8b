"""Every session with its steps and where it forked: for the side and the graph. Only reads."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from mlxk.agent.branches import rest
from mlxk.agent.settings import from_meta
from mlxk.contract.errors import HistoryCorrupt
from mlxk.history import commits, diff, trash
from mlxk.history.liveness import is_held
from mlxk.history.record import Record, chain, records
from mlxk.history.store import Store
from mlxk.system.clock import stamp

State = Literal["running", "idle", "interrupted", "damaged"]


@dataclass(frozen=True, slots=True)
class Dot:
    """A step in the graph. `changed`: files, not only words."""

    step: int
    subject: str
    when: str
    commit: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Past:
    """What only depends on a session's last commit."""

    model: str
    rest: Literal["idle", "interrupted"]
    steps: tuple[Dot, ...]
    additions: int
    deletions: int
    files: int


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """`past` is None of a damaged one; its steps begin with the start (0) or the fork."""

    id: str
    name: str
    branch: str
    state: State
    landed: bool
    head: str
    parent: str | None
    fork_step: int | None
    when: str
    past: Past | None


@dataclass(frozen=True, slots=True)
class Trashed:
    id: str
    name: str
    when: str


@dataclass(frozen=True, slots=True)
class Overview:
    repository: str
    folder: str
    checked_out: str | None
    branches: tuple[str, ...]
    sessions: tuple[SessionInfo, ...]
    trash: tuple[Trashed, ...]


class Overviews:
    """Remembers what cannot change, the past of a commit, as long as a session ends with it."""

    def __init__(self) -> None:
        self._pasts: dict[str, Past] = {}
        self._landings: dict[tuple[str, str | None], bool] = {}

    def look(self, store: Store, own: Mapping[str, bool]) -> Overview:
        """`own`: the sessions that we hold ourselves, and whether they work."""
        gone = (Trashed(d.record.id, d.record.name, stamp(d.when)) for d in trash.discarded(store))
        heads = (ref.removeprefix("refs/heads/") for ref, _ in store.refs.under("refs/heads/"))
        there = tuple(records(store))
        self._forget_all_but({record.head for record in there})
        return Overview(
            repository=store.key.rpartition("-")[0],
            folder=str(store.root or store.common),
            checked_out=store.head_name(),
            branches=tuple(name for name in heads if not name.startswith("mlxk/")),
            sessions=tuple(self._session(store, r, own.get(r.id)) for r in there),
            trash=tuple(gone),
        )

    def _session(self, store: Store, record: Record, works: bool | None) -> SessionInfo:
        """One that is damaged is shown as such; it does not hide the others."""
        past: Past | None = None
        state: State = "damaged"
        landed = False
        try:
            past = self._past(record)
            landed = self._is_landed(store, record)
            busy = is_held(store, record.id) if works is None else works
            state = "running" if busy else past.rest
        except HistoryCorrupt:
            past = None
        return SessionInfo(
            id=record.id,
            name=record.name,
            branch=record.branch,
            state=state,
            landed=landed,
            head=record.head,
            parent=record.parent,
            fork_step=record.parent_step,
            when=stamp(record.when),
            past=past,
        )

    def _forget_all_but(self, heads: set[str]) -> None:
        """Several threads look at once: what one of them forgets, another may read again."""
        self._pasts = {head: past for head, past in tuple(self._pasts.items()) if head in heads}
        landings = tuple(self._landings.items())
        self._landings = {key: landed for key, landed in landings if key[0] in heads}

    def _past(self, record: Record) -> Past:
        if (past := self._pasts.get(record.head)) is None:
            past = self._pasts[record.head] = _read(record)
        return past

    def _is_landed(self, store: Store, record: Record) -> bool:
        """Work that is in what is checked out; a session without work is none."""
        key = (record.head, onto := store.head())
        if (landed := self._landings.get(key)) is None:
            changed = record.code != record.base
            landed = self._landings[key] = changed and trash.is_landed(store, record, onto)
        return landed


def _read(record: Record) -> Past:
    files = diff.changes(record.store, record.base, record.code)
    return Past(
        model=from_meta(record.meta()).model,
        rest=rest(record),
        steps=_dots(record),
        additions=sum(f.additions for f in files),
        deletions=sum(f.deletions for f in files),
        files=len(files),
    )


def _dots(record: Record) -> tuple[Dot, ...]:
    """Of its own steps only: a fork's early ones are its parent's."""
    dots: list[Dot] = []
    for _, commit in chain(record.store, record.head):
        facts, code = commit.trailers, commit.parents[-1]
        if facts[commits.SESSION] != record.id:
            break
        number = int(facts[commits.STEP])
        if dots:
            dots[-1] = replace(dots[-1], changed=dots[-1].commit != code)
        dots.append(Dot(number, commit.subject, stamp(commit.when), code, changed=False))
    return tuple(reversed(dots))
