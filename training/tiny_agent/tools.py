"""The coding agent's tools as the model sees them: names, arguments, order."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    type: str = "string"
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    arguments: tuple[Argument, ...]

    def schema(self) -> dict[str, Any]:
        properties = {a.name: {"type": a.type} for a in self.arguments}
        required = [a.name for a in self.arguments if not a.optional]
        parameters = {"type": "object", "properties": properties, "required": required}
        return {
            "type": "function",
            "function": {"name": self.name, "description": "", "parameters": parameters},
        }


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: dict[str, str | int | bool] = field(default_factory=dict)


def _optional(name: str, kind: str = "string") -> Argument:
    return Argument(name, kind, optional=True)


TOOLS = (
    Tool("Read", (Argument("path"), _optional("offset", "integer"), _optional("limit", "integer"))),
    Tool("Write", (Argument("path"), Argument("content"))),
    Tool(
        "Edit",
        (
            Argument("path"),
            Argument("old_string"),
            Argument("new_string"),
            _optional("replace_all", "boolean"),
        ),
    ),
    Tool("Bash", (Argument("command"), _optional("timeout", "integer"))),
    Tool("Grep", (Argument("pattern"), _optional("path"), _optional("glob"))),
    Tool("Find", (Argument("pattern"), _optional("path"))),
    Tool("Ls", (_optional("path"),)),
)
BY_NAME = {tool.name: tool for tool in TOOLS}
AGENT_PROMPT = (
    "You are mlxk, a coding agent. You work in a git worktree of the user's repository, and every "
    "step you take is committed there. Use the tools with relative paths. Read a file before you "
    "edit it, and check your work when you can. When the task is done, say in one or two sentences "
    "what you did."
)
