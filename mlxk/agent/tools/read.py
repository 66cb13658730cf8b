"""Read: a text file, whole or some of its lines."""

import asyncio
from typing import Any

from mlxk.agent.tools.base import AgentTool, Context, Result, ToolError, count, schema, text
from mlxk.chat.types import Tool

_MOST = 8 << 20
_LINES = 2000


async def _run(arguments: dict[str, Any], context: Context) -> Result:
    name, first = arguments["path"], arguments.get("offset", 1)
    data = await asyncio.to_thread(context.workspace.read, name, _MOST)
    if b"\0" in data[:8192]:
        raise ToolError(f"{name} is a binary file")
    lines = data.decode(errors="replace").splitlines(keepends=True)
    if not lines:
        return Result("(empty file)")
    if first > len(lines):
        raise ToolError(f"{name} has {len(lines)} lines; offset {first} is behind its end")
    shown = _fitting(lines[first - 1 :][: arguments.get("limit", _LINES)], context)
    last = first - 1 + len(shown)
    body = "".join(shown)
    if last < len(lines) and "limit" not in arguments:
        rest = f"[lines {first}-{last} of {len(lines)}; Read with offset={last + 1} for more]"
        return Result(f"{body.rstrip(chr(10))}\n{rest}")
    return Result(body)


def _fitting(lines: list[str], context: Context) -> list[str]:
    """The first lines within the output limit; at least one, cut if it must be."""
    left, kept = context.limits.output_bytes, list[str]()
    for line in lines:
        left -= len(line.encode(errors="replace"))
        if left < 0:
            break
        kept.append(line)
    return kept or [lines[0][: context.limits.output_bytes // 4]]


TOOL = AgentTool(
    Tool(
        "Read",
        "Read a text file.",
        schema(
            ("path",),
            path=text("File, relative to the worktree."),
            offset=count("First line to show, from 1."),
            limit=count("How many lines to show."),
        ),
    ),
    _run,
    reads_only=True,
)
