"""Sessions as branches that people see: how far each is, where it came from, whether it works."""

from dataclasses import dataclass
from typing import Literal

from mlxk.agent.settings import from_meta
from mlxk.agent.transcript import from_lines
from mlxk.contract.errors import HistoryCorrupt
from mlxk.contract.notes import note
from mlxk.history import diff, worktree
from mlxk.history.liveness import is_held
from mlxk.history.record import Record, records
from mlxk.history.store import Store
from mlxk.system.clock import stamp


@dataclass(frozen=True, slots=True)
class Branch:
    """`base` is the commit the session started from; `ahead` counts code commits since."""

    name: str
    session: str
    model: str
    base: str
    head: str
    steps: int
    ahead: int
    behind: int | None
    parent: str | None
    fork_step: int | None
    state: Literal["running", "idle", "interrupted"]
    worktree: str | None
    last_activity: str


def branches(store: Store) -> tuple[Branch, ...]:
    """Newest first. One session that cannot be read does not hide the others: a warning."""
    found = []
    for record in records(store):
        try:
            found.append(branch(store, record))
        except HistoryCorrupt as e:
            note("damaged_session", f"{record.branch}: {e}")
    return tuple(found)


def branch(store: Store, record: Record) -> Branch:
    """HistoryCorrupt."""
    steps = record.steps()
    head = store.head()
    apart = diff.divergence(store, record.code, head) if head else None
    folder = worktree.places(store, record.id).folder
    return Branch(
        name=record.branch,
        session=record.id,
        model=from_meta(record.meta()).model,
        base=record.base,
        head=record.code,
        steps=len(steps) - 1,
        ahead=len({step.id for step in steps}) - 1,
        behind=apart.behind if apart else None,
        parent=record.parent,
        fork_step=record.parent_step,
        state="running" if is_held(store, record.id) else rest(record),
        worktree=str(folder) if folder.is_dir() else None,
        last_activity=stamp(steps[-1].when),
    )


def rest(record: Record) -> Literal["idle", "interrupted"]:
    """A conversation whose last word is not the model's was cut off."""
    messages = from_lines(record.lines())
    last = messages[-1] if messages else None
    done = last is None or (last.role == "assistant" and not last.tool_uses)
    return "idle" if done else "interrupted"
