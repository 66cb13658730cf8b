"""The commands of the terminal: one table for the full screen and for the plain lines."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mlxk.contract.errors import UsageError
from mlxk.tui import deeds
from mlxk.tui.face import Face, Line


@dataclass(frozen=True, slots=True)
class Command:
    """`usage` is what follows the name; `values` are options that take a word."""

    name: str
    usage: str
    help: str
    run: Callable[[Face, Line], Awaitable[None]]
    flags: frozenset[str] = field(default_factory=frozenset)
    values: frozenset[str] = field(default_factory=frozenset)


async def carry_out(face: Face, typed: str) -> None:
    """Run `/name …`. MlxkError says what is wrong."""
    name, _, rest = typed.strip().partition(" ")
    command = COMMANDS.get(name.casefold())
    if command is None:
        near = [known for known in COMMANDS if known.startswith(name.casefold())]
        if len(near) != 1:
            hint = f"one of {', '.join(near)}" if near else "/help lists them"
            raise UsageError(f"there is no command {name}", hint=hint)
        command = COMMANDS[near[0]]
    await command.run(face, _read(command, rest))


def _read(command: Command, text: str) -> Line:
    """Options stand before the rest, which is not split: a prompt may hold quotes."""
    options: dict[str, str] = {}
    rest = text.strip()
    while found := re.match(r"(--[a-z]+)(?:=(\S+)|\s+|$)", rest):
        name, value = found[1], found[2]
        rest = rest[found.end() :].lstrip()
        if name in command.values:
            if value is None:
                value, _, rest = rest.partition(" ")
            if not value:
                raise UsageError(f"{name} wants a value", hint=f"{command.name} {command.usage}")
            options[name] = value
        elif name in command.flags and value is None:
            options[name] = ""
        else:
            hint = f"{command.name} {command.usage}".rstrip()
            raise UsageError(f"{command.name} has no option {name}", hint=hint)
        rest = rest.lstrip()
    return Line(options, rest)


async def _help(face: Face, line: Line) -> None:
    wanted = "/" + line.rest.removeprefix("/")
    if line.rest and wanted in COMMANDS:
        command = COMMANDS[wanted]
        face.say(f"{command.name} {command.usage}\n  {command.help}")
        return
    face.page("Help", f"{overview()}\n\n{KEYS}")


def overview() -> str:
    heads = {
        command.name: f"{command.name} {command.usage}".rstrip() for command in COMMANDS.values()
    }
    width = max(map(len, heads.values()))
    lines = [f"{heads[c.name]:{width}}  {c.help}" for c in COMMANDS.values()]
    lines += [f"{'!COMMAND':{width}}  run it in the worktree; the model hears of it"]
    lines += [f"{'$COMMAND':{width}}  run it with the terminal to itself (an editor, a pager)"]
    return "\n".join(lines)


KEYS = """\
Enter                       send
Ctrl-J                      a new line
Tab                         complete commands and paths
Ctrl-R, Up                  what was sent before
Ctrl-C                      copy what is selected, else clear the line, else stop the agent
Ctrl-T                      another tab
Ctrl-D                      close the tab, leave with the last one
Ctrl-1 … 9, Alt-1 … 9       that tab
Ctrl-, Alt-Left, F7         the tab before
Ctrl-. Alt-Right, F8        the tab after
F2, Shift-F2, F3            allow, always, refuse
F4                          unfold, fold
F9                          light, dark
PgUp, PgDn                  scroll"""


def _table(*commands: Command) -> dict[str, Command]:
    return {command.name: command for command in commands}


def _options(*names: str) -> frozenset[str]:
    return frozenset(names)


COMMANDS = _table(
    Command(
        "/branch",
        "[--from REV] [--step N | --turn N] [--name NAME] [PROMPT]",
        "another future, in a tab of its own",
        deeds.branch,
        values=_options("--from", "--step", "--turn", "--name"),
    ),
    Command("/futures", "N PROMPT", "as many at once, each in its tab", deeds.futures),
    Command("/new", "[PROMPT]", "an empty tab", deeds.new),
    Command("/open", "REV", "go on with a session: its branch, id or a commit", deeds.open),
    Command("/branches", "", "all sessions of this repository", deeds.branches),
    Command("/tab", "[N]", "show that tab, or list them", deeds.tab),
    Command(
        "/diff", "[--all]", "what the last prompt changed, or all", deeds.diff, _options("--all")
    ),
    Command("/history", "[--raw]", "steps and conversation", deeds.history, _options("--raw")),
    Command(
        "/export",
        "[--raw] [--force] [PATH]",
        "write the session to a file",
        deeds.export,
        _options("--raw", "--force"),
    ),
    Command(
        "/land",
        "[--merge] [--into B | --branch NEW]",
        "bring the work to your branch",
        deeds.land,
        _options("--merge"),
        _options("--into", "--branch"),
    ),
    Command("/check", "CMD", "run it; while it fails, the model works on", deeds.check),
    Command(
        "/undo",
        "[--step N | --turn N]",
        "take the last prompt back, or more",
        deeds.undo,
        values=_options("--step", "--turn"),
    ),
    Command("/abort", "", "stop what runs; the work is kept", deeds.abort),
    Command("/allow", "[--always]", "answer yes", deeds.allow, _options("--always")),
    Command("/deny", "", "answer no", deeds.deny),
    Command("/tools", "", "what the model may call", deeds.tools),
    Command(
        "/model",
        "[--api A] [--url U] [NAME]",
        "show the model, or take another",
        deeds.model,
        values=_options("--api", "--url"),
    ),
    Command(
        "/clear",
        "[--config F]",
        "begin anew in this tab",
        deeds.clear,
        values=_options("--config"),
    ),
    Command("/errors", "", "what went wrong so far", deeds.errors),
    Command("/rm", "[--force] REV", "put a session away", deeds.remove, _options("--force")),
    Command("/exit", "[--all]", "close the tab, or leave", deeds.exit, _options("--all")),
    Command("/help", "[COMMAND]", "this", _help),
)
