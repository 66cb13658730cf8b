"""The Agent tool: a child with no more tools and less budget, whose work comes back merged."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlxk.agent import compose
from mlxk.agent.settings import Helper, Settings, tool_names
from mlxk.agent.tools.base import AgentTool, Context, Result, ToolError, schema, text
from mlxk.agent.workspace import Workspace
from mlxk.chat.types import Tool
from mlxk.contract.errors import MlxkError, UnsafePath
from mlxk.history import contents, diff
from mlxk.history.contents import Content
from mlxk.history.record import find
from mlxk.history.session import Session
from mlxk.history.store import Store

if TYPE_CHECKING:
    from mlxk.agent.job import Ended, Job
    from mlxk.agent.limits import Budgets
    from mlxk.agent.run import Run

DEPTH = 3
NAME = "Agent"


@dataclass(frozen=True, slots=True)
class Child:
    """What a parent asks for: a task, and with which settings and how many turns it is done."""

    prompt: str
    settings: Settings
    turns: int | None = None


def tool(job: "Job", run: "Run") -> AgentTool:
    """The tool of this job. Its child works on a fork of what is committed now."""

    async def call(arguments: dict[str, Any], context: Context) -> Result:
        ended = await _run(job, run, _child(job, arguments))
        run.meter.absorb(ended.report.usage.input_tokens, ended.report.usage.output_tokens)
        ours, theirs, workspace = job.session.record.code, ended.report.head, context.workspace
        changed, conflicts = await job.scribe.do(lambda s: _merge(s, ours, theirs, workspace))
        lines = [ended.report.result or "(no answer)"]
        lines += [f"changed {path}" for path in changed]
        lines += [
            f"CONFLICT {path}: kept as it is here; see {ended.report.branch}" for path in conflicts
        ]
        if ended.error is not None:
            lines.append(f"The sub-agent did not finish: {ended.error}")
        return Result("\n".join(lines), tuple(changed))

    return AgentTool(spec(job.settings.helpers), call)


def spec(helpers: Sequence[Helper]) -> Tool:
    """What models see; `helpers` are those that a configuration describes."""
    properties = {
        "prompt": text("The task, with all that the helper must know."),
        "tools": text("Which of your tools it may use, e.g. Read,Grep; default: all of them."),
    }
    if helpers:
        known = "; ".join(f"{helper.name}: {helper.description}" for helper in helpers)
        names = [helper.name for helper in helpers]
        properties["helper"] = {"enum": names, "description": f"A special one. {known}"}
    return Tool(
        NAME,
        "Give a self-contained task to a helper that works on a copy; its changes come back here.",
        schema(("prompt",), **properties),
    )


def _child(job: "Job", arguments: dict[str, Any]) -> Child:
    """A sub-agent never has a tool that its parent lacks, and no children below the last depth."""
    parent, known = job.settings, {helper.name: helper for helper in job.settings.helpers}
    own = tuple(name for name in parent.tools if name != NAME or job.depth + 2 < DEPTH)
    special = known.get(arguments.get("helper", ""), Helper(""))
    wanted = arguments.get("tools") or special.tools
    try:
        asked = own if wanted is None else tool_names(wanted)
    except MlxkError as e:
        raise ToolError(str(e)) from e
    if lacking := [name for name in asked if name not in own]:
        raise ToolError(f"a helper cannot have {lacking[0]}: it may use {', '.join(own)}")
    settings = replace(
        parent,
        tools=asked,
        system=special.system or parent.system,
        mcp=parent.mcp if wanted is None else (),
    )
    return Child(arguments["prompt"], settings, special.turns)


async def _run(job: "Job", run: "Run", child: Child) -> "Ended":
    from mlxk.agent.job import Job, Order, reraise_cancellation  # noqa: PLC0415 -- a job makes this tool

    record, settings = job.session.record, child.settings

    def fork(store: Store) -> Session:
        place = find(store, record.id)
        return compose.fork(store, place, settings, f"{record.name}-helper", job.now())

    async with job.scribe.holding(fork) as session:
        helper = Job(
            session,
            job.scribe,
            job.model,
            settings,
            bounds=replace(job.bounds, budgets=_budgets(run, child)),
            now=job.now,
            depth=job.depth + 1,
        )
        ended = await helper.run(Order(child.prompt, fresh=True), run.hear)
    reraise_cancellation()
    return ended


def _budgets(run: "Run", child: Child) -> "Budgets":
    """Half of what the parent has left, or less; turns are never unlimited."""
    meter, budgets = run.meter, run.meter.budgets
    turns = max(1, ((budgets.turns or 50) - meter.turns) // 2)
    tokens = meter.tokens_left()
    seconds = meter.seconds_left()
    return replace(
        budgets,
        turns=min(turns, child.turns or turns),
        tokens=None if tokens is None else max(1, tokens // 2),
        seconds=None if seconds is None else max(0.1, seconds / 2),
    )


def _merge(
    store: Store, ours: str, theirs: str, workspace: Workspace
) -> tuple[list[str], list[str]]:
    """(merged, conflicting) paths: a file that changed here meanwhile is left alone.

    Contents come from the child's commit, never from its folder: a link there may lead anywhere.
    """
    merged, conflicts = [], []
    for change in diff.changes(store, ours, theirs):
        path = change.path
        if _present(workspace, path) != contents.at(store, ours, path):
            conflicts.append(path)
            continue
        _put(workspace, path, contents.at(store, theirs, path))
        merged.append(path)
    return merged, conflicts


def _present(workspace: Workspace, path: str) -> Content | None:
    """What the parent's own worktree holds there."""
    file = workspace.root / path
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            return Content(os.fsencode(file.readlink()), True, False)
        return Content(workspace.read(path, 1 << 30), False, bool(mode & 0o100))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, UnsafePath):
        return None


def _put(workspace: Workspace, path: str, content: Content | None) -> None:
    file = workspace.resolve(str(Path(path).parent)) / Path(path).name
    if content is None or content.is_link:
        file.unlink(missing_ok=True)
    if content is None:
        return
    if content.is_link:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(os.fsdecode(content.data))
        return
    workspace.write(path, content.data)
    file.chmod(0o755 if content.is_executable else 0o644)
