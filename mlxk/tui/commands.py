"""The commands of the terminal: one table for the full screen and for the plain lines."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlxk.contract.errors import AlreadyExists, InvalidValue, NotFound, UsageError
from mlxk.system.files import translated
from mlxk.tui import words
from mlxk.tui.face import Face

if TYPE_CHECKING:
    from mlxk.agent.desk_tab import Tab


@dataclass(frozen=True, slots=True)
class Line:
    """What was typed after the command: its options, and the rest as it stands."""

    options: dict[str, str]
    rest: str

    def has(self, name: str) -> bool:
        return name in self.options

    def number(self, name: str) -> int | None:
        text = self.options.get(name)
        if text is None:
            return None
        if not text.isdecimal():
            raise InvalidValue(f"{name} wants a number, not {text!r}")
        return int(text)


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


async def _new(face: Face, line: Line) -> None:
    tab = face.desk.new()
    face.go(tab)
    if line.rest:
        tab.submit(line.rest)


async def _branch(face: Face, line: Line) -> None:
    session = face.tab.session
    if session is None:
        raise UsageError("there is nothing to branch from yet", hint="/new opens an empty tab")
    step, turn, name = line.number("--step"), line.number("--turn"), line.options.get("--name")
    tab = await face.desk.fork(session, step=step, turn=turn, name=name)
    face.go(tab)
    if line.rest:
        tab.submit(line.rest)


async def _open(face: Face, line: Line) -> None:
    if not line.rest:
        raise UsageError("which session?", hint="/branches lists them")
    face.go(await face.desk.open(line.rest))


async def _branches(face: Face, _: Line) -> None:
    found = await face.desk.branches()
    face.page("Branches", words.branches(found, face.tab.session))


async def _tab(face: Face, line: Line) -> None:
    tabs = face.desk.tabs
    if not line.rest:
        names = (
            f"{'*' if t is face.tab else ' '} {n} {t.status().name}  {t.state}"
            for n, t in enumerate(tabs, 1)
        )
        face.say("\n".join(names))
        return
    if not line.rest.isdecimal() or not 1 <= int(line.rest) <= len(tabs):
        raise NotFound(f"there is no tab {line.rest}", hint=f"1 to {len(tabs)}")
    face.go(tabs[int(line.rest) - 1])


async def _diff(face: Face, line: Line) -> None:
    everything = line.has("--all")
    changes = await face.tab.diff(since_start=everything)
    title = "since the start" if everything else "of the last prompt"
    if not changes.files:
        face.say(f"no changes {title}" + ("" if everything else "; /diff --all shows the rest"))
        return
    face.show_changes(f"{face.tab.branch}: changes {title}", changes)


async def _history(face: Face, line: Line) -> None:
    if line.has("--raw"):
        face.page("History", await face.tab.export(raw=True))
    else:
        face.page("History", words.history(await face.tab.history()))


async def _export(face: Face, line: Line) -> None:
    text = await face.tab.export(raw=line.has("--raw"))
    suffix = "ndjson" if line.has("--raw") else "md"
    name = line.rest or f"{face.tab.status().name}.{suffix}"
    path = _written(face.desk.folder, name, text, replace=line.has("--force"))
    face.say(f"{face.tab.branch} is in {path}")


def _written(folder: Path, name: str, text: str, *, replace: bool) -> Path:
    path = folder / Path(name).expanduser()
    if path.exists() and not replace:
        raise AlreadyExists(f"{path} exists", hint="--force replaces it")
    with translated(path):
        path.write_text(text, encoding="utf-8")
    return path


async def _tools(face: Face, _: Line) -> None:
    face.page("Tools", words.tools(face.tab.tools()))


async def _errors(face: Face, _: Line) -> None:
    face.page("Errors", words.errors(face.tab.errors))


async def _abort(face: Face, _: Line) -> None:
    waiting = await face.tab.abort()
    if waiting:
        face.say("not sent any more:\n" + "\n".join(waiting))


async def _land(face: Face, line: Line) -> None:
    into, new = line.options.get("--into"), line.options.get("--branch")
    if into and new:
        raise UsageError("--into an existing branch, or a new --branch: not both")
    how: Literal["merge", "squash"] = "merge" if line.has("--merge") else "squash"
    landed = await face.tab.land(into=into, new=new, how=how)
    if landed.commit == landed.before:
        face.say(f"{landed.branch} has all of it already")
        return
    files = "".join(f"\n  {f.path} (+{f.additions} -{f.deletions})" for f in landed.files)
    face.say(f"landed on {landed.branch} as {landed.commit[:10]}{files}")


async def _check(face: Face, line: Line) -> None:
    if not line.rest:
        raise UsageError("which command?", hint="/check pytest -q")
    face.tab.check(line.rest)


async def _undo(face: Face, line: Line) -> None:
    done = await face.tab.undo(step=line.number("--step"), turn=line.number("--turn"))
    face.say(f"{done.subject}; /undo --step {done.number - 1} takes that back")


async def _clear(face: Face, line: Line) -> None:
    closed = await face.tab.clear(line.options.get("--config"))
    if closed.branch:
        face.say(words.closed(closed))


async def _model(face: Face, line: Line) -> None:
    if not line.rest:
        state = face.tab.status().model
        face.say(f"{state.name} ({state.api}): {state.error or state.phase}")
        return
    api, url = line.options.get("--api"), line.options.get("--url")
    await face.tab.set_model(line.rest, api=api, url=url)


async def _allow(face: Face, line: Line) -> None:
    _answer(face, True, always=line.has("--always"))


async def _deny(face: Face, _: Line) -> None:
    _answer(face, False, always=False)


def _answer(face: Face, allow: bool, *, always: bool) -> None:
    questions = face.tab.status().questions
    if not questions:
        raise UsageError("nothing is asked now")
    face.tab.answer(questions[0].id, allow, always=always)


async def _remove(face: Face, line: Line) -> None:
    if not line.rest:
        raise UsageError("which session?", hint="/branches lists them")
    name = await face.desk.remove(line.rest, force=line.has("--force"))
    face.say(f"removed {name}; mlxk branch restore {name.removeprefix('mlxk/')} brings it back")


async def _exit(face: Face, line: Line) -> None:
    tabs = list(face.desk.tabs) if line.has("--all") else [face.tab]
    for tab in tabs:
        if not await _may_close(face, tab):
            return
    if len(tabs) == len(face.desk.tabs):
        await face.leave()
        return
    closed = await face.tab.close()
    await face.closed(face.tab)
    if closed.branch:
        face.say(words.closed(closed))


async def _may_close(face: Face, tab: "Tab") -> bool:
    """Ask before a run is stopped or work that has not landed goes out of sight."""
    if tab.is_running:
        return await face.confirm(f"{tab.branch or 'The agent'} is still working. Stop it?")
    if await tab.is_unmerged():
        return await face.confirm(
            f"{tab.branch} holds work that has not landed. It stays on that branch. Close?"
        )
    return True


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
        "[--step N | --turn N] [PROMPT]",
        "another future, in a tab of its own",
        _branch,
        values=_options("--step", "--turn", "--name"),
    ),
    Command("/new", "[PROMPT]", "an empty tab", _new),
    Command("/open", "REV", "go on with a session: its branch, id or a commit", _open),
    Command("/branches", "", "all sessions of this repository", _branches),
    Command("/tab", "[N]", "show that tab, or list them", _tab),
    Command("/diff", "[--all]", "what the last prompt changed, or all", _diff, _options("--all")),
    Command("/history", "[--raw]", "steps and conversation", _history, _options("--raw")),
    Command(
        "/export",
        "[--raw] [--force] [PATH]",
        "write the session to a file",
        _export,
        _options("--raw", "--force"),
    ),
    Command(
        "/land",
        "[--merge] [--into B | --branch NEW]",
        "bring the work to your branch",
        _land,
        _options("--merge"),
        _options("--into", "--branch"),
    ),
    Command("/check", "CMD", "run it; while it fails, the model works on", _check),
    Command(
        "/undo",
        "[--step N | --turn N]",
        "take the last prompt back, or more",
        _undo,
        values=_options("--step", "--turn"),
    ),
    Command("/abort", "", "stop what runs; the work is kept", _abort),
    Command("/allow", "[--always]", "answer yes", _allow, _options("--always")),
    Command("/deny", "", "answer no", _deny),
    Command("/tools", "", "what the model may call", _tools),
    Command(
        "/model",
        "[--api A] [--url U] [NAME]",
        "show the model, or take another",
        _model,
        values=_options("--api", "--url"),
    ),
    Command(
        "/clear",
        "[--config F]",
        "begin anew in this tab",
        _clear,
        values=_options("--config"),
    ),
    Command("/errors", "", "what went wrong so far", _errors),
    Command("/rm", "[--force] REV", "put a session away", _remove, _options("--force")),
    Command("/exit", "[--all]", "close the tab, or leave", _exit, _options("--all")),
    Command("/help", "[COMMAND]", "this", _help),
)
