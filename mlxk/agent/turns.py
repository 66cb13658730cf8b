"""Places in a session as people count them: answers of the model, prompts of the user."""

from mlxk.agent.transcript import from_lines
from mlxk.chat.types import Role
from mlxk.contract.errors import SessionNotFound, UsageError
from mlxk.history.record import Place, Record


def step_of_turn(record: Record, turn: int) -> int:
    """The step at which the model had answered `turn` times and its calls were done.

    SessionNotFound when it never did.
    """
    at = [number for number, said in _counts(record, "assistant") if said == turn]
    if not at:
        raise SessionNotFound(f"{record.branch} has no turn {turn}", hint="mlxk branch log REV")
    return at[-1]


def place(record: Record, step: int | None, turn: int | None) -> Place:
    """At that step, or the end of that turn; the last step when neither is given."""
    if step is not None and turn is not None:
        raise UsageError("give a step or a turn, not both", hint="mlxk branch log REV")
    if turn is not None:
        step = step_of_turn(record, turn)
    return record.at(record.step if step is None else step)


def before_last_prompt(record: Record) -> int:
    """The step before the last prompt was given."""
    counts = list(_counts(record, "user"))
    return max(number for number, said in counts if said < max(counts[-1][1], 1))


def _counts(record: Record, role: Role) -> list[tuple[int, int]]:
    """(step, messages of `role` so far) for each step."""
    return record.totals(lambda lines: sum(m.role == role for m in from_lines(lines)))
