"""What a tool is: a name, a JSON schema of its arguments, and a coroutine. Knows no model."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mlxk.agent.confine import Confinement
from mlxk.agent.workspace import Workspace
from mlxk.chat.types import Tool


class ToolError(Exception):
    """What went wrong, in words for the model. It becomes the call's result."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one call: seconds, and bytes of text that go back to the model."""

    timeout_s: float = 120.0
    output_bytes: int = 30_000


@dataclass(frozen=True, slots=True)
class Context:
    """Where a call happens. `emit` passes on output while a command runs; paths that match
    `hidden` are not shown by whatever looks through files."""

    workspace: Workspace
    confinement: Confinement
    limits: Limits
    emit: Callable[[str], None]
    hidden: tuple[str, ...] = ()

    def shows(self, path: str) -> bool:
        """Of a path relative to the worktree."""
        return not any(fnmatchcase(path, glob) for glob in self.hidden)


@dataclass(frozen=True, slots=True)
class Result:
    """`changed`: paths the call wrote, relative to the worktree; None means look everywhere."""

    text: str
    changed: tuple[str, ...] | None = ()


def subject(arguments: dict[str, Any], workspace: Workspace) -> str:
    """The command of a call, or its path as it really is."""
    if "command" in arguments:
        return str(arguments["command"])
    if "path" in arguments:
        return workspace.relative(workspace.resolve(str(arguments["path"])))
    return str(arguments.get("pattern", ""))


Run = Callable[[dict[str, Any], Context], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class AgentTool:
    """`reads_only`: calls of one turn that only read may run side by side. `about` gives what
    a permission rule is matched with."""

    spec: Tool
    run: Run
    reads_only: bool = False
    about: Callable[[dict[str, Any], Workspace], str] = subject


def schema(required: tuple[str, ...], **properties: dict[str, Any]) -> dict[str, Any]:
    """A closed object schema for a tool's arguments."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def count(description: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "description": description}


def flag(description: str) -> dict[str, Any]:
    return {"type": "boolean", "description": description}


def plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def clipped(output: str, limit: int, hint: str) -> str:
    """`output` within `limit` bytes, whole lines, and a last line that says how to get the rest."""
    data = output.encode(errors="replace")
    if len(data) <= limit:
        return output
    kept = data[:limit].decode(errors="ignore")
    kept = kept[: kept.rfind("\n")] if "\n" in kept else kept
    return f"{kept}\n[{len(data) - limit} more bytes; {hint}]"
