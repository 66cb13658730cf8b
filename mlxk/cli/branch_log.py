"""`mlxk branch log`: the steps of a session, or all sessions as a tree of futures. Only reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlxk.cli.registry import command

if TYPE_CHECKING:
    from mlxk.agent.branches import Branch, StepInfo
    from mlxk.history.graph import EdgeKind, Graph, NodeKind
    from mlxk.history.record import Record
    from mlxk.history.store import Store


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """`id` is a session commit; of a base or a landing, a commit of the user's own."""

    id: str
    kind: "NodeKind"
    session: str | None
    branch: str | None
    step: int | None
    commit: str
    subject: str
    time: str


@dataclass(frozen=True, slots=True)
class EdgeInfo:
    source: str
    target: str
    kind: "EdgeKind"


@dataclass(frozen=True, slots=True)
class Futures:
    """`branches` are the sessions that exist; nodes may also belong to one that was removed."""

    nodes: tuple[NodeInfo, ...]
    edges: tuple[EdgeInfo, ...]
    branches: "tuple[Branch, ...]"


@dataclass(frozen=True, slots=True)
class Log:
    """The `steps` of one session, or the `graph` of several."""

    branch: str | None
    session: str | None
    steps: "tuple[StepInfo, ...]"
    graph: Futures | None


def _text(value: Log, _: dict[str, Any]) -> str:
    if value.graph is not None:
        return "\n".join(_Tree(value.graph).lines()) or 'no branches yet: mlxk agent "…" makes one'
    steps = reversed(value.steps)
    return "\n".join(f"{s.commit[:12]}  {s.time}  {s.step:4}  {s.subject}" for s in steps)


@command("branch log", _text)
def branch_log(
    rev: Annotated[
        str | None, typer.Argument(help="A session id, a branch, or a commit of one.")
    ] = None,
    graph: Annotated[
        bool, typer.Option("--graph", help="As a tree, with all that forked from it.")
    ] = False,
) -> Log:
    """Show the steps of a session, newest first; without one, the tree of all sessions.

    mlxk branch log create-a-file

    mlxk branch log --graph

    mlxk branch log create-a-file --json | jq -r '.data.steps[].commit'
    """
    from mlxk.agent.branches import step_info
    from mlxk.cli.branch import open_store
    from mlxk.history.graph import family
    from mlxk.history.record import find, records

    with open_store() as store:
        place = find(store, rev) if rev is not None else None
        if place is None:
            return Log(None, None, (), _futures(store, records(store)))
        record = place.record
        if graph:
            tree = _futures(store, family(store, record))
            return Log(record.branch, record.id, (), tree)
        steps = tuple(step_info(step) for step in record.steps() if step.number <= place.step)
    return Log(record.branch, record.id, steps, None)


def _futures(store: "Store", chosen: "tuple[Record, ...]") -> Futures:
    from mlxk.agent.branches import branch_infos
    from mlxk.history import graph

    return _told(graph.of(store, chosen), branch_infos(store, chosen))


def _told(graph: "Graph", branches: "tuple[Branch, ...]") -> Futures:
    from mlxk.system.clock import stamp

    nodes = tuple(
        NodeInfo(n.id, n.kind, n.session, n.branch, n.step, n.commit, n.subject, stamp(n.when))
        for n in graph.nodes
    )
    edges = tuple(EdgeInfo(e.source, e.target, e.kind) for e in graph.edges)
    return Futures(nodes, edges, branches)


class _Tree:
    """Every base with its sessions; a fork hangs below the step it left from."""

    def __init__(self, graph: Futures) -> None:
        self._nodes: Mapping[str, NodeInfo] = {node.id: node for node in graph.nodes}
        self._states = {branch.session: branch.state for branch in graph.branches}
        self._after: dict[str, list[NodeInfo]] = {}
        for edge in graph.edges:
            self._after.setdefault(edge.source, []).append(self._nodes[edge.target])

    def lines(self) -> Iterator[str]:
        for base in (node for node in self._nodes.values() if node.kind == "base"):
            yield f"{base.commit[:12]}  {base.subject}"
            yield from self._forks(base, "")

    def _forks(self, node: NodeInfo, margin: str, *, goes_on: bool = False) -> Iterator[str]:
        begun = [n for n in self._after.get(node.id, ()) if n.kind in ("start", "fork")]
        for number, first in enumerate(begun, 1):
            is_last = number == len(begun) and not goes_on
            state = self._states.get(first.session or "", "removed")
            yield f"{margin}{'└' if is_last else '├'}─ {first.branch}  {state}"
            yield from self._session(first, margin + ("   " if is_last else "│  "))

    def _session(self, first: NodeInfo, margin: str) -> Iterator[str]:
        at: NodeInfo | None = first
        before = ""
        while at is not None:
            after = self._after.get(at.id, ())
            going_on = next((n for n in after if n.kind == "step"), None)
            if at.kind != "fork":
                code = "" if before in ("", at.commit) else f"  {at.commit[:12]}"
                yield f"{margin}{at.step:4}  {at.subject}{code}"
            for landing in (n for n in after if n.kind == "landing"):
                yield f"{margin}   => {landing.branch} {landing.commit[:12]}  {landing.subject}"
            yield from self._forks(at, margin, goes_on=going_on is not None)
            before, at = at.commit, going_on
