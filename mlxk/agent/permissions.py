"""Which calls may run: a mode, rules that allow or deny, and somebody to ask."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from mlxk.agent.events import PermissionAnswered, PermissionAsked, Sender
from mlxk.agent.tools.base import AgentTool
from mlxk.contract.errors import InvalidValue

Mode = Literal["read", "workspace", "all", "ask"]
MODES: tuple[Mode, ...] = ("read", "workspace", "all", "ask")
Answer = Callable[[PermissionAsked], Awaitable[bool]]

_NAME = re.compile(r"[A-Za-z_][\w-]*\*?")
# A shell joins commands with these: `git *` must not let `git log; rm -rf x` through.
_JOINS = (";", "|", "&", "\n", "`", "$(", ">", "<")


class Denied(Exception):
    """A call that is not allowed, as opposed to one that failed."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """`read`: tools that only read. `workspace`: all tools, confined. `all`: Bash unconfined.

    `ask`: whatever writes is asked for. Rules are `Tool` or `Tool(glob)`, where the tool's name
    may end with `*` (`mcp__docs__*`); deny beats allow.
    """

    mode: Mode = "workspace"
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Added:
    """Rules to put on top of those that stand; `mode` None leaves the mode."""

    mode: Mode | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def to(self, before: Permissions) -> Permissions:
        allow, deny = (*before.allow, *self.allow), (*before.deny, *self.deny)
        return Permissions(self.mode or before.mode, allow, deny)


def permissions(value: Mapping[str, Any]) -> Permissions:
    """As written in a file or a session's meta; InvalidValue for a rule that is none."""
    allow, deny = (tuple(map(rule, value.get(name, ()))) for name in ("allow", "deny"))
    return Permissions(value.get("mode", "workspace"), allow, deny)


class Gate:
    """Decides about each call of one run."""

    def __init__(self, permissions: Permissions, sender: Sender, answer: Answer | None) -> None:
        self._permissions = permissions
        self._sender = sender
        self._answer = answer

    def hidden(self, name: str) -> tuple[str, ...]:
        """Globs of paths that a search of this tool may not show: its own rules, and Read's."""
        rules = (rule.partition("(") for rule in self._permissions.deny)
        wanted = {name.casefold(), "read"}
        return tuple(
            rest.removesuffix(")") for tool, _, rest in rules if rest and tool.casefold() in wanted
        )

    async def pass_(self, id: str, tool: AgentTool, about: str) -> None:
        """Return when the call may run; Denied says why not. `about`: its command or path."""
        name, rules = tool.spec.name, self._permissions
        if rule := next((r for r in rules.deny if _matches(r, name, about, strict=False)), None):
            raise Denied(f"{name} is denied by the rule {rule}")
        if tool.reads_only or any(_matches(r, name, about, strict=True) for r in rules.allow):
            return
        if rules.mode == "read":
            raise Denied(f"{name} may not run: this agent only reads")
        if rules.mode == "ask":
            await self._ask(PermissionAsked(id, name, about))

    async def _ask(self, asked: PermissionAsked) -> None:
        self._sender.send(asked)
        if self._answer is None:
            self._sender.send(PermissionAnswered(asked.id, False))
            raise Denied(f"{asked.name} needs leave and there is nobody to ask")
        allowed = await self._answer(asked)
        self._sender.send(PermissionAnswered(asked.id, allowed))
        if not allowed:
            raise Denied(f"{asked.name} was refused by the user")


def rule(text: str) -> str:
    """A rule as typed, checked: `Bash(git *)`, `Write(docs/*)`, `Bash`."""
    name, bracket, rest = text.partition("(")
    if not _NAME.fullmatch(name) or (bracket and not rest.endswith(")")):
        raise InvalidValue(f"{text!r} is not a rule", hint="Tool or Tool(glob), e.g. 'Bash(git *)'")
    return text


def _matches(rule: str, name: str, about: str, *, strict: bool) -> bool:
    """`strict` (for allow): a shell line with several commands never matches a pattern."""
    wanted, _, pattern = rule.partition("(")
    if not fnmatchcase(name.casefold(), wanted.casefold()):
        return False
    pattern = pattern.removesuffix(")")
    if pattern in ("", "*"):
        return True
    if name == "Bash" and any(join in about for join in _JOINS):
        return not strict and any(fnmatchcase(part.strip(), pattern) for part in _parts(about))
    return fnmatchcase(about, pattern)


def _parts(line: str) -> list[str]:
    for join in _JOINS:
        line = line.replace(join, "\0")
    return line.split("\0")
