"""The loop: a ChatModel and tools in a worktree. Does not know whether its model is local.

For programs: `from mlxk.agent import Agent`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlxk.agent.library import Agent, CustomTool

__all__ = ["Agent", "CustomTool"]


def __getattr__(name: str) -> Any:
    """Only who asks for the library pays for its imports."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mlxk.agent import library  # noqa: PLC0415

    return getattr(library, name)
