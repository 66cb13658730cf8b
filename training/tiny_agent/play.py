"""From a goal to the calls that reach it, what they answer and what is said at the end."""

from dataclasses import dataclass

from training.tiny_agent import closings
from training.tiny_agent.render import cut_result
from training.tiny_agent.requests import AddText, ChangeLine, Do, Goal
from training.tiny_agent.tools import Call
from training.tiny_agent.workspace import Workspace

Step = tuple[Call, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    steps: tuple[Step, ...]
    closing: str
    reached: bool


def play(goal: Goal, workspace: Workspace) -> Outcome:
    match goal:
        case Do(call):
            return _finish((), call, workspace)
        case AddText():
            return _add_text(goal, workspace)
        case ChangeLine():
            return _change_line(goal, workspace)


def _finish(
    before: tuple[Step, ...], call: Call, workspace: Workspace, closing: str = ""
) -> Outcome:
    result = workspace.run(call)
    failed = closings.failed(result)
    said = closing if closing and not failed else closings.closing(call, cut_result(result))
    return Outcome((*before, (call, result)), said, not failed)


def _add_text(goal: AddText, workspace: Workspace) -> Outcome:
    workspace.resemble(goal.path, goal.text)
    read = Call("Read", {"path": goal.path})
    result = workspace.run(read)
    seen = cut_result(result)
    steps = ((read, result),)
    if closings.failed(result):
        return Outcome(steps, closings.closing(read, seen), reached=False)
    if closings.partial(seen):
        return Outcome(steps, closings.left_alone(goal.path), reached=False)
    text = joined("" if result == "(empty file)" else result, goal)
    call = Call("Write", {"path": goal.path, "content": text})
    return _finish(steps, call, workspace, closings.added(goal.path))


def joined(old: str, goal: AddText) -> str:
    """Keeps the file's habit of ending with a line break or not."""
    if not old:
        return goal.text
    if goal.place == "start":
        return f"{goal.text}\n{old}"
    return f"{old}{goal.text}\n" if old.endswith("\n") else f"{old}\n{goal.text}"


def _change_line(goal: ChangeLine, workspace: Workspace) -> Outcome:
    read = Call("Read", {"path": goal.path, "offset": goal.number, "limit": 1})
    result = workspace.run(read)
    steps = ((read, result),)
    if closings.failed(result):
        return Outcome(steps, closings.closing(read, cut_result(result)), reached=False)
    line = closings.without_notice(result).removesuffix("\n")
    if not line or result == "(empty file)":
        return Outcome(steps, closings.empty_line(goal.path, goal.number), reached=False)
    call = Call("Edit", {"path": goal.path, "old_string": line, "new_string": goal.text})
    return _finish(steps, call, workspace, closings.changed_line(goal.path, goal.number))
