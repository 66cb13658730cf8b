"""The arguments of a call: JSON text as a model wrote it, checked by the tool's schema."""

from typing import Any

from mlxk.agent.tools.base import AgentTool, ToolError
from mlxk.chat.types import ToolUse
from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument
from mlxk.contract.validate import compiled, problems_of

# Text goes into a file as it is; everything else reaches the operating system, which ends at NUL.
_TEXTS = {"content", "old_string", "new_string"}


def checked(tool: AgentTool, use: ToolUse) -> dict[str, Any]:
    """ToolError says what is wrong and where, for the model to read."""
    try:
        value = encoding.loads(use.arguments or "{}", "arguments")
    except InvalidDocument as e:
        raise ToolError(str(e)) from e
    if found := problems_of(compiled(tool.spec.parameters), value):
        raise ToolError(f"arguments{found[0].pointer}: {found[0].message}")
    return {name: _usable(name, item) for name, item in value.items()}


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
