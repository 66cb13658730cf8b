"""Bash: run a command in the worktree, confined where the system allows it."""

from typing import Any

from mlxk.agent.command import run_command
from mlxk.agent.tools.base import AgentTool, Context, Result, ToolError, clipped, schema, text
from mlxk.chat.types import Tool

_LONGEST = 3600


async def _run(arguments: dict[str, Any], context: Context) -> Result:
    seconds = float(arguments.get("timeout", context.limits.timeout_s))
    done = await run_command(
        context.confinement.shell(arguments["command"]),
        cwd=context.workspace.root,
        timeout_s=seconds,
        keep_bytes=context.limits.output_bytes,
        emit=context.emit,
        gated=context.confinement.is_gated,
    )
    if done.timed_out:
        raise ToolError(f"command timed out after {seconds:g} s\n{done.text}".rstrip())
    output = clipped(done.text, context.limits.output_bytes, "redirect to a file and Read it")
    if done.dropped_bytes:
        output += f"\n[{done.dropped_bytes} more bytes; redirect to a file and Read it]"
    if done.exit_code:
        ending = f"[exit code {done.exit_code}]"
        output = f"{output.rstrip(chr(10))}\n{ending}" if output else ending
    return Result(output or "(no output)", None)


TOOL = AgentTool(
    Tool(
        "Bash",
        "Run a shell command in the worktree and return its output.",
        schema(
            ("command",),
            command=text("The command line."),
            timeout={
                "type": "integer",
                "minimum": 1,
                "maximum": _LONGEST,
                "description": "Seconds; 120 if not given.",
            },
        ),
    ),
    _run,
)
