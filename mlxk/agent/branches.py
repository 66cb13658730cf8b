"""Sessions as branches that people see: how far each is, where it came from, whether it works."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mlxk.contract.errors import HistoryCorrupt
from mlxk.contract.notes import note
from mlxk.history import worktree
from mlxk.history.distance import Distances
from mlxk.history.liveness import is_held
from mlxk.history.record import Record, Step
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


@dataclass(frozen=True, slots=True)
class StepInfo:
    step: int
    commit: str
    session_commit: str
    subject: str
    time: str
    files: tuple[str, ...]


def branch_infos(store: Store, records: Iterable[Record]) -> tuple[Branch, ...]:
    """A session that cannot be read is noted, and hides no other."""
    distances = Distances(store)
    found = []
    for record in records:
        try:
            found.append(branch_info(record, distances))
        except HistoryCorrupt as e:
            note("damaged_session", f"{record.branch}: {e}")
    return tuple(found)


def branch_info(record: Record, distances: Distances) -> Branch:
    distance = distances.of(record)
    folder = worktree.places(record.store, record.id).folder
    return Branch(
        name=record.branch,
        session=record.id,
        model=_model(record),
        base=record.base,
        head=record.code,
        steps=record.step,
        ahead=distance.ahead,
        behind=distance.behind,
        parent=record.parent,
        fork_step=record.parent_step,
        state="running" if is_held(record.store, record.id) else rest(record),
        worktree=str(folder) if folder.is_dir() else None,
        last_activity=stamp(record.when),
    )


def step_info(step: Step) -> StepInfo:
    files = tuple(change.path for change in step.files)
    return StepInfo(
        step.number, step.id, step.session_commit, step.subject, stamp(step.when), files
    )


def rest(record: Record) -> Literal["idle", "interrupted"]:
    """A conversation whose last word is not the model's was cut off."""
    if (done := record.rests) is None:
        from mlxk.agent.transcript import from_lines  # noqa: PLC0415 -- few sessions need it

        messages = from_lines(record.lines())
        last = messages[-1] if messages else None
        done = last is None or (last.role == "assistant" and not last.tool_uses)
    return "idle" if done else "interrupted"


def _model(record: Record) -> str:
    if record.model is not None:
        return record.model
    from mlxk.agent.settings import from_meta  # noqa: PLC0415 -- few sessions need it

    return from_meta(record.meta()).model
