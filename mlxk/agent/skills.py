"""Skills: folders with a SKILL.md that a model may read when its description fits the task."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlxk.agent.tools.base import AgentTool, Context, Result, ToolError, schema, text
from mlxk.chat.types import Tool
from mlxk.contract.errors import InvalidDocument
from mlxk.contract.notes import note

_LARGEST = 64_000


@dataclass(frozen=True, slots=True)
class Skill:
    name: str
    description: str
    folder: Path

    def read(self) -> str:
        """The instructions, without the head that only serves to choose."""
        return _parts(self.folder / "SKILL.md")[1]


def found(folders: tuple[Path, ...]) -> tuple[Skill, ...]:
    """Every skill below `folders`; of two with one name the earlier folder's counts."""
    skills: dict[str, Skill] = {}
    for folder in folders:
        for path in sorted(folder.glob("*/SKILL.md")) if folder.is_dir() else ():
            if path.resolve() != folder.resolve() / path.relative_to(folder):
                note("linked_skill", f"{path} is a link: skipped")
                continue
            skill = at(path.parent)
            skills.setdefault(skill.name, skill)
    return tuple(skills.values())


def at(folder: Path) -> Skill:
    """InvalidDocument when the folder holds no readable SKILL.md."""
    head, _ = _parts(folder / "SKILL.md")
    name, description = head.get("name", folder.name), head.get("description", "")
    return Skill(str(name), " ".join(str(description).split()), folder)


def tools(named: tuple[Path, ...], worktree: Path, home: Path) -> tuple[AgentTool, ...]:
    """One tool for all skills: the `named` folders, the repository's, the user's; none, none."""
    first = tuple(at(folder) for folder in named)
    known = {skill.name for skill in first}
    others = found((worktree / ".mlxk" / "skills", home / "skills"))
    every = (*first, *(skill for skill in others if skill.name not in known))
    return (tool(every),) if every else ()


def tool(skills: tuple[Skill, ...]) -> AgentTool:
    """The tool that hands a skill's text to the model."""
    known = {skill.name: skill for skill in skills}

    async def run(arguments: dict[str, Any], _: Context) -> Result:
        skill = known.get(arguments["name"])
        if skill is None:
            raise ToolError(f"no skill {arguments['name']!r}; there are {', '.join(known)}")
        return Result(skill.read())

    listing = "\n".join(f"{skill.name}: {skill.description}" for skill in skills)
    spec = Tool(
        "Skill",
        f"Read the instructions for a kind of task before you do it:\n{listing}",
        schema(("name",), name=text("Which skill.")),
    )
    return AgentTool(spec, run, reads_only=True)


def _parts(path: Path) -> tuple[dict[str, Any], str]:
    """(front matter, body)."""
    import yaml

    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            content = file.read(_LARGEST)
    except OSError as e:
        hint = "a folder with a SKILL.md in it"
        raise InvalidDocument(f"cannot read {path}: {e.strerror}", hint=hint) from e
    if not content.startswith("---\n"):
        return {}, content.strip()
    front, _, body = content[4:].partition("\n---")
    try:
        head = yaml.safe_load(front)
    except yaml.YAMLError as e:
        raise InvalidDocument(f"{path}: the part between the dashes is not YAML") from e
    return head if isinstance(head, dict) else {}, body.strip()
