"""What is shown in words, the same in every face on a terminal. Knows no widgets."""

import json
from typing import TYPE_CHECKING, Any

from mlxk.system import terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlxk.agent.branches import Branch
    from mlxk.agent.desk_look import History
    from mlxk.agent.desk_tab import Closed, Status
    from mlxk.chat.types import Message, Tool
    from mlxk.contract.envelope import ErrorInfo

# What a call is about, by the first of these arguments that it has.
_SUBJECTS = ("command", "path", "pattern", "name", "prompt", "url")
_SHOWN = 200
MUTED = "$foreground 60%"  # a style of the full screen
_STATES = {
    "idle": "ready",
    "running": "working",
    "asking": "asks",
    "interrupted": "interrupted",
    "failed": "failed",
    "closed": "closed",
}


def plain(text: str) -> str:
    """`text` without what would steer the terminal. Tabs become spaces."""
    return terminal.plain(text).expandtabs(4)


def call(name: str, arguments: str) -> str:
    """`Write src/a.py`, `Bash pytest -q`."""
    try:
        value: Any = json.loads(arguments or "{}")
    except ValueError:
        value = arguments
    if isinstance(value, dict):
        found = next((value[key] for key in _SUBJECTS if key in value), None)
        value = found if found is not None else (arguments if value else "")
    return f"{name} {one_line(str(value))}".rstrip()


def one_line(text: str, limit: int = _SHOWN) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def both_ends(name: str, limit: int) -> str:
    """Names of futures differ at their ends."""
    return name if len(name) <= limit else f"{name[: limit - 7]}…{name[-6:]}"


def clipped(text: str, most: int) -> str:
    """The first lines, and how many more there are."""
    lines = text.rstrip("\n").split("\n", most)
    if len(lines) <= most:
        return "\n".join(lines)
    more = lines.pop().count("\n") + 1
    return "\n".join([*lines, f"… {more} more line{'s' if more > 1 else ''}"])


def tokens(count: int) -> str:
    """`812`, `12.4k`, `1.2M`."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 999_950 else f"{count / 1e6:.1f}M"


def status(value: "Status") -> list[str]:
    """The pieces of a status line, the most important first."""
    state = _STATES[value.state]
    if value.state == "idle" and value.model.phase != "ready":
        state = "opening the model" if value.model.phase == "opening" else "no model"
    if value.queued:
        state += f" +{value.queued}"
    used = tokens(value.context)
    context = value.model.context
    share = f" of {tokens(context)} ({100 * value.context // context}%)" if context else ""
    spent = f"{tokens(value.input_tokens)} in, {tokens(value.output_tokens)} out"
    where = one_line(value.branch, 32) if value.branch else "no branch yet"
    return [state, value.model.name, where, f"context {used}{share}", spent, value.permissions]


def errors(found: "Sequence[ErrorInfo]") -> str:
    if not found:
        return "no errors so far"
    return "\n\n".join(error(e.message, e.hint, e.type) for e in found)


def error(message: str, hint: str | None, type: str | None = None) -> str:
    text = f"{type}: {message}" if type else message
    return f"{text}\n  {hint}" if hint else text


def tools(found: "Sequence[Tool]") -> str:
    width = max((len(tool.name) for tool in found), default=0)
    about = [next(iter(tool.description.splitlines()), "") for tool in found]
    lines = [f"{t.name:{width}}  {text}".rstrip() for t, text in zip(found, about, strict=True)]
    return "\n".join(lines) or "no tools"


def branches(found: "Sequence[Branch]", here: str | None) -> str:
    if not found:
        return "no branches yet: the first prompt starts one"
    width = max(len(b.name) for b in found)
    lines = []
    for b in found:
        mark = "*" if b.session == here else " "
        origin = f"  from {b.parent}@{b.fork_step}" if b.parent else ""
        counts = f"{b.steps:4} steps {b.ahead:3} commits"
        lines.append(f"{mark} {b.name:{width}}  {b.state:11} {counts}  {b.last_activity}{origin}")
    return "\n".join(lines)


def history(value: "History") -> str:
    """The steps, then the conversation."""
    steps = [f"{s.number:4}  {s.id[:10]}  {s.subject}" for s in value.steps]
    said = [f"{m.role}\n{_indented(_said(m))}" for m in value.messages]
    return "\n".join([value.branch, *steps, "", *said])


def closed(value: "Closed") -> str:
    if value.branch is None:
        return "closed"
    name = value.branch.removeprefix("mlxk/")
    what = "work that has not landed" if value.unmerged else "nothing that has not landed"
    return f"{value.branch} is kept, with {what}: mlxk agent --resume {name}"


def _said(message: "Message") -> str:
    from mlxk.chat.types import Text, Thinking, ToolResult, ToolUse

    lines = []
    for part in message.parts:
        match part:
            case Text(text) | ToolResult(_, text):
                lines.append(text.rstrip())
            case Thinking(text=text):
                lines.append(f"(thought) {text.rstrip()}")
            case ToolUse(_, name, arguments):
                lines.append(f"● {name} {arguments}")
            case _:
                lines.append("[image]")
    return "\n".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
