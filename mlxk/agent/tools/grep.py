"""Grep: lines that match a regular expression.

The search runs in a child process: a pattern that backtracks for ever can be killed there.
"""

import re
import sys
from pathlib import Path
from typing import Any

from mlxk.agent import search
from mlxk.agent.command import run_command
from mlxk.agent.tools.base import AgentTool, Context, Result, ToolError, clipped, schema, text
from mlxk.chat.types import Tool

_SECONDS = 30.0


async def _run(arguments: dict[str, Any], context: Context) -> Result:
    try:
        re.compile(arguments["pattern"])
    except (re.error, RecursionError, OverflowError) as e:
        raise ToolError(f"pattern is not a regular expression: {e}") from e
    start = context.workspace.resolve(arguments.get("path", "."))
    if not start.exists():
        raise ToolError(f"no such file or folder: {arguments['path']}")
    below = context.workspace.relative(start)
    if not start.is_dir():
        context.workspace.read(below, 0)  # refuses what is no file of its own
    script = str(Path(search.__file__))
    wanted = (arguments["pattern"], below, arguments.get("glob", ""))
    done = await run_command(
        [sys.executable, "-I", script, *wanted, *context.hidden],
        cwd=context.workspace.root,
        timeout_s=_SECONDS,
        keep_bytes=4 * context.limits.output_bytes,
    )
    if done.timed_out:
        raise ToolError(f"the search took longer than {_SECONDS:g} s; use a simpler pattern")
    hint = "narrow the pattern, the path or the glob"
    return Result(clipped(done.text, context.limits.output_bytes, hint) or "No matches.")


TOOL = AgentTool(
    Tool(
        "Grep",
        "Search file contents with a regular expression; gives path:line:text.",
        schema(
            ("pattern",),
            pattern=text("Regular expression (Python)."),
            path=text("File or folder to search; default: the whole worktree."),
            glob=text("Only files whose name matches, e.g. *.py."),
        ),
    ),
    _run,
    reads_only=True,
)
