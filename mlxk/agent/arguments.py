"""The arguments of a call: JSON text as a model wrote it, checked by the tool's schema."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from mlxk.agent.tools.base import AgentTool, ToolError
from mlxk.chat.types import Message, Part, ToolUse
from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument
from mlxk.contract.validate import compiled, problems_of

# Text goes into a file as it is; everything else reaches the operating system, which ends at NUL.
_TEXTS = {"content", "old_string", "new_string"}


def checked(tool: AgentTool, use: ToolUse) -> dict[str, Any]:
    """ToolError says what is wrong and where, for the model to read."""
    try:
        value = encoding.loads(use.arguments.strip() or "{}", "arguments")
        found = problems_of(compiled(tool.spec.parameters), value)
    except InvalidDocument as e:
        raise ToolError(str(e)) from e
    if found:
        raise ToolError(f"arguments{found[0].pointer}: {found[0].message}")
    return {name: _usable(name, item) for name, item in value.items()}


def sendable(message: Message) -> Message:
    """For a request: servers insist that the arguments of earlier calls are a JSON object. The
    history keeps what the model wrote."""
    if all(_is_object(use.arguments) for use in message.tool_uses):
        return message
    return Message(message.role, tuple(map(_mended, message.parts)))


def _mended(part: Part) -> Part:
    if not isinstance(part, ToolUse) or _is_object(part.arguments):
        return part
    raw = {"arguments": part.arguments} if part.arguments.strip() else {}
    return replace(part, arguments=encoding.dumps(raw).decode())


@lru_cache(maxsize=4096)
def _is_object(text: str) -> bool:
    try:
        return isinstance(encoding.loads(text), dict)
    except InvalidDocument:
        return False


def _usable(name: str, value: Any) -> Any:
    """JSON schema calls 1.0 an integer; Python does not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        if "\0" in value and name not in _TEXTS:
            raise ToolError(f"arguments/{name}: holds a NUL character")
        if any("\ud800" <= c <= "\udfff" for c in value):
            raise ToolError(f"arguments/{name}: is not valid Unicode text")
    return value
