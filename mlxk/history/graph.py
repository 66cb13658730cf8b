"""Sessions as one graph: their steps, where they fork, where they landed. Only reads.

Knows no messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dulwich.objects import ObjectID

from mlxk.contract.errors import HistoryCorrupt
from mlxk.contract.notes import note
from mlxk.history import commits
from mlxk.history.commits import Commit
from mlxk.history.landings import origin
from mlxk.history.record import Record, chain, records
from mlxk.history.store import Store

NodeKind = Literal["base", "start", "step", "fork", "landing"]
EdgeKind = Literal["begin", "step", "fork", "landing"]


@dataclass(frozen=True, slots=True)
class Node:
    """A session commit; a base or a landing is a commit of the user's own."""

    id: str
    kind: NodeKind
    session: str | None  # None: a base
    branch: str | None  # where it is; of a landing, the user's branch
    step: int | None
    commit: str  # the code
    subject: str
    when: datetime


@dataclass(frozen=True, slots=True)
class Edge:
    source: str
    target: str
    kind: EdgeKind


@dataclass(frozen=True, slots=True)
class Graph:
    """What comes before stands before what follows from it."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


class _Drawing:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []

    def add(self, record: Record) -> None:
        """What is not drawn yet, from the start or the fork on. HistoryCorrupt: nothing is."""
        path: list[tuple[str, Commit]] = []
        before: str | None = None
        for commit_id, commit in chain(self._store, record.head):
            if commit_id in self.nodes:
                before = commit_id
                break
            path.append((commit_id, commit))
        for commit_id, commit in reversed(path):
            if before is None:
                self._begin(commit_id, commit)
            else:
                self._go_on(before, commit_id, commit)
            before = commit_id

    def land(self, branch: str, tip: str, starts: Sequence[str]) -> None:
        """Landings on a branch of the user's since the sessions began."""
        at = {(node.session, node.step): node for node in self.nodes.values()}
        walker = self._store.repo.get_walker(
            include=[ObjectID(tip.encode())], exclude=[ObjectID(c.encode()) for c in starts]
        )
        for entry in walker:
            commit = commits.decode(entry.commit.as_raw_string())
            facts = commit.trailers
            step = facts.get(commits.STEP, "")
            if commit.author == commits.IDENTITY or not step.isdigit():
                continue
            source = at.get((facts.get(commits.SESSION), int(step)))
            landed = entry.commit.id.decode()
            if source is not None and landed not in self.nodes:
                self.nodes[landed] = _node(landed, commit, "landing", branch=branch, code=landed)
                self.edges.append(Edge(source.id, landed, "landing"))

    def _begin(self, commit_id: str, commit: Commit) -> None:
        base = commit.trailers[commits.BASE]
        if base not in self.nodes:
            on = commits.decode(self._store.read_commit(base))
            self.nodes[base] = Node(base, "base", None, None, None, base, on.subject, on.when)
        self.nodes[commit_id] = _node(commit_id, commit, "start")
        self.edges.append(Edge(base, commit_id, "begin"))

    def _go_on(self, before: str, commit_id: str, commit: Commit) -> None:
        parent = self.nodes[before]
        kind: Literal["fork", "step"] = (
            "step" if parent.session == commit.trailers[commits.SESSION] else "fork"
        )
        self.nodes[commit_id] = _node(commit_id, commit, kind)
        self.edges.append(Edge(before, commit_id, kind))


def of(store: Store, chosen: Sequence[Record]) -> Graph:
    """A session that is damaged is noted and left out."""
    drawing = _Drawing(store)
    starts: set[str] = set()
    for record in sorted(chosen, key=lambda r: (r.when, r.branch)):
        try:
            drawing.add(record)
            starts |= {found} if (found := origin(store, record.base)) else set()
        except HistoryCorrupt as e:
            note("damaged_session", f"{record.branch}: {e}")
    for ref, tip in store.refs.under("refs/heads/"):
        branch = ref.removeprefix("refs/heads/")
        if not branch.startswith("mlxk/"):
            drawing.land(branch, tip, sorted(starts))
    return Graph(tuple(drawing.nodes.values()), tuple(drawing.edges))


def family(store: Store, record: Record) -> tuple[Record, ...]:
    """The sessions that share their first step with `record`, itself included."""
    first = _first(record)
    return tuple(other for other in records(store) if _first(other) == first)


def _first(record: Record) -> str:
    try:
        return [commit_id for commit_id, _ in chain(record.store, record.head)][-1]
    except HistoryCorrupt:
        return record.head


def _node(
    commit_id: str, commit: Commit, kind: NodeKind, *, branch: str = "", code: str = ""
) -> Node:
    facts = commit.trailers
    return Node(
        id=commit_id,
        kind=kind,
        session=facts[commits.SESSION],
        branch=branch or facts[commits.BRANCH],
        step=int(facts[commits.STEP]),
        commit=code or commit.parents[-1],
        subject=commit.subject,
        when=commit.when,
    )
