"""Edit: replace text in a file; every byte that is not named stays as it is."""

import asyncio
from typing import Any

from mlxk.agent.tools.base import (
    AgentTool,
    Context,
    Result,
    ToolError,
    flag,
    plural,
    schema,
    text,
)
from mlxk.chat.types import Tool

_MOST = 64 << 20


async def _run(arguments: dict[str, Any], context: Context) -> Result:
    return await asyncio.to_thread(_edit, arguments, context)


def _edit(arguments: dict[str, Any], context: Context) -> Result:
    name = arguments["path"]
    data = context.workspace.read(name, _MOST + 1)
    if len(data) > _MOST:
        raise ToolError(f"{name} is larger than {_MOST >> 20} MiB")
    old, new = _in_its_line_ends(data, arguments["old_string"], arguments["new_string"])
    if not old:
        raise ToolError("old_string is empty; use Write to create a file")
    if old == new:
        raise ToolError("old_string and new_string are the same")
    found = data.count(old)
    if not found:
        raise ToolError(f"old_string was not found in {name}")
    if found > 1 and not arguments.get("replace_all"):
        advice = "add context or set replace_all"
        raise ToolError(f"old_string occurs {found} times in {name}; {advice}")
    path = context.workspace.write(name, data.replace(old, new))
    return Result(f"Edited {path} ({plural(found, 'replacement')})", (path,))


def _in_its_line_ends(data: bytes, old: str, new: str) -> tuple[bytes, bytes]:
    """Models write \\n; in a file with \\r\\n that means \\r\\n."""
    raw = old.encode(errors="surrogateescape"), new.encode(errors="surrogateescape")
    if raw[0] in data or b"\r\n" not in data or b"\r" in raw[0]:
        return raw
    return raw[0].replace(b"\n", b"\r\n"), raw[1].replace(b"\n", b"\r\n")


TOOL = AgentTool(
    Tool(
        "Edit",
        "Replace text in a file. old_string must occur exactly once, unless replace_all is set.",
        schema(
            ("path", "old_string", "new_string"),
            path=text("File, relative to the worktree."),
            old_string=text("Text to replace, exactly as it stands in the file."),
            new_string=text("Text to put there."),
            replace_all=flag("Replace every occurrence."),
        ),
    ),
    _run,
)
