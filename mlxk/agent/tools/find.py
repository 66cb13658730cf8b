"""Find: files by name."""

import asyncio
import os
import re
from typing import Any

from mlxk.agent.tools.base import AgentTool, Context, Result, ToolError, clipped, schema, text
from mlxk.chat.types import Tool

_MOST = 5000


async def _run(arguments: dict[str, Any], context: Context) -> Result:
    return await asyncio.to_thread(_find, arguments, context)


def _find(arguments: dict[str, Any], context: Context) -> Result:
    start = context.workspace.resolve(arguments.get("path", "."))
    if not start.is_dir():
        raise ToolError(f"no such folder: {arguments.get('path', '.')}")
    pattern: str = arguments["pattern"]
    try:
        matches = re.compile(expression(pattern)).fullmatch
    except re.error as e:
        raise ToolError(f"pattern is not a glob: {e}") from e
    found = list[str]()
    for folder, folders, names in os.walk(start):
        folders[:] = sorted(d for d in folders if d.casefold() != ".git")
        for name in sorted(n for n in names if n.casefold() != ".git"):
            path = os.path.relpath(f"{folder}/{name}", context.workspace.root)
            is_wanted = matches(path) or ("/" not in pattern and matches(name))
            if is_wanted and context.shows(path):
                found.append(path)
        if len(found) > _MOST:
            break
    listing = "\n".join(found[:_MOST])
    return Result(clipped(listing, context.limits.output_bytes, "narrow it") or "No files match.")


def expression(glob: str) -> str:
    """A glob as a regular expression: `*` stays in its folder, `**` does not."""
    parts = re.split(r"(\*\*/?|\*|\?|\[[^\]]+\])", glob)
    return "(?s:" + "".join(map(_translated, parts)) + ")"


def _translated(part: str) -> str:
    match part:
        case "**/":
            return "(?:[^/]+/)*"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
    if part.startswith("[") and part.endswith("]"):
        body = part[1:-1]
        sign = "^" if body.startswith(("!", "^")) else ""
        return f"[{sign}{re.escape(body.lstrip('!^')).replace(chr(92) + '-', '-')}]"
    return re.escape(part)


TOOL = AgentTool(
    Tool(
        "Find",
        "Find files by name pattern, e.g. *.py or src/**/test_*.py.",
        schema(
            ("pattern",),
            pattern=text("Glob; without a slash it is matched against file names."),
            path=text("Folder to look in; default: the whole worktree."),
        ),
    ),
    _run,
    reads_only=True,
)
