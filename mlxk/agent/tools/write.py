"""Write: create a file or replace it whole."""

import asyncio
from typing import Any

from mlxk.agent.tools.base import AgentTool, Context, Result, plural, schema, text
from mlxk.chat.types import Tool


async def _run(arguments: dict[str, Any], context: Context) -> Result:
    content: str = arguments["content"]
    data = content.encode(errors="surrogateescape")
    existed = context.workspace.resolve(arguments["path"]).exists()
    path = await asyncio.to_thread(context.workspace.write, arguments["path"], data)
    size = f"{plural(len(content.splitlines()), 'line')}, {plural(len(data), 'byte')}"
    return Result(f"{'Replaced' if existed else 'Created'} {path} ({size})", (path,))


TOOL = AgentTool(
    Tool(
        "Write",
        "Create a file, or replace all of it. Folders are made as needed.",
        schema(
            ("path", "content"),
            path=text("File, relative to the worktree."),
            content=text("The whole new content."),
        ),
    ),
    _run,
)
