"""Ls: what is in a folder."""

import asyncio
from typing import Any

from mlxk.agent.tools.base import AgentTool, Context, Result, ToolError, clipped, schema, text
from mlxk.chat.types import Tool


async def _run(arguments: dict[str, Any], context: Context) -> Result:
    return await asyncio.to_thread(_list, arguments.get("path", "."), context)


def _list(name: str, context: Context) -> Result:
    folder = context.workspace.resolve(name)
    if not folder.is_dir():
        raise ToolError(f"no such folder: {name}")
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    names = (
        f"{e.name}/" if e.is_dir() and not e.is_symlink() else e.name
        for e in entries
        if e.name.casefold() != ".git" and context.shows(context.workspace.relative(e))
    )
    return Result(clipped("\n".join(names), context.limits.output_bytes, "use Find") or "(empty)")


TOOL = AgentTool(
    Tool(
        "Ls",
        "List a folder; folders end with a slash.",
        schema((), path=text("Folder; default: the worktree.")),
    ),
    _run,
    reads_only=True,
)
