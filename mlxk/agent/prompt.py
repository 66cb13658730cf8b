"""The agent's first words to its model. Short on purpose: a local model pays for every token."""

from pathlib import Path

SYSTEM = (
    "You are mlxk, a coding agent. You work in a git worktree of the user's repository, and every "
    "step you take is committed there. Use the tools with relative paths. Read a file before you "
    "edit it, and check your work when you can. When the task is done, say in one or two sentences "
    "what you did."
)
INSTRUCTIONS = "AGENTS.md"
_MOST = 16_000


def system_prompt(system: str | None, instructions: str) -> str:
    """The user's own prompt or ours, followed by the repository's AGENTS.md."""
    return "\n\n".join(part for part in (system or SYSTEM, instructions[:_MOST].strip()) if part)


def instructions_in(folder: Path) -> str:
    """Of its AGENTS.md; nothing when there is none, or a link."""
    path = folder / INSTRUCTIONS
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_MOST)
