"""What each command does: what was typed handed to the desk, and what came of it said."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlxk.contract.errors import AlreadyExists, NotFound, UsageError
from mlxk.system.files import translated
from mlxk.tui import words
from mlxk.tui.face import Face, Line

if TYPE_CHECKING:
    from mlxk.agent.desk_tab import Tab


async def new(face: Face, line: Line) -> None:
    tab = face.desk.new()
    face.go(tab)
    if line.rest:
        tab.submit(line.rest)


async def branch(face: Face, line: Line) -> None:
    session = line.options.get("--from") or _session(face)
    step, turn, name = line.number("--step"), line.number("--turn"), line.options.get("--name")
    tab = await face.desk.fork(session, step=step, turn=turn, name=name)
    face.go(tab)
    if line.rest:
        tab.submit(line.rest)


async def futures(face: Face, line: Line) -> None:
    count, _, prompt = line.rest.partition(" ")
    if not count.isdecimal() or not prompt.strip():
        raise UsageError("how many, and what for?", hint="/futures 3 make it faster")
    tabs = await face.desk.futures(_session(face), int(count), prompt.strip())
    for tab in reversed(tabs):
        face.go(tab)


def _session(face: Face) -> str:
    session = face.tab.session
    if session is None:
        raise UsageError("there is nothing to branch from yet", hint="/new opens an empty tab")
    return session


async def open(face: Face, line: Line) -> None:
    if not line.rest:
        raise UsageError("which session?", hint="/branches lists them")
    face.go(await face.desk.open(line.rest))


async def branches(face: Face, _: Line) -> None:
    found = await face.desk.branches()
    face.page("Branches", words.branches(found, face.tab.session))


async def tab(face: Face, line: Line) -> None:
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


async def diff(face: Face, line: Line) -> None:
    everything = line.has("--all")
    changes = await face.tab.diff(since_start=everything)
    title = "since the start" if everything else "of the last prompt"
    if not changes.files:
        face.say(f"no changes {title}" + ("" if everything else "; /diff --all shows the rest"))
        return
    face.show_changes(f"{face.tab.branch}: changes {title}", changes)


async def history(face: Face, line: Line) -> None:
    if line.has("--raw"):
        face.page("History", await face.tab.export(raw=True))
    else:
        face.page("History", words.history(await face.tab.history()))


async def export(face: Face, line: Line) -> None:
    text = await face.tab.export(raw=line.has("--raw"))
    suffix = "ndjson" if line.has("--raw") else "md"
    name = line.rest or f"{face.tab.status().name}.{suffix}"
    path = _written(face.desk.folder, name, text, replace=line.has("--force"))
    face.say(f"{face.tab.branch} is in {path}")


def _written(folder: Path, name: str, text: str, *, replace: bool) -> Path:
    path = folder / Path(name).expanduser()
    if path.is_dir() or not path.parent.is_dir():
        raise NotFound(f"{path} cannot be written", hint="name a file in a folder that exists")
    if path.exists() and not replace:
        raise AlreadyExists(f"{path} exists", hint="--force replaces it")
    with translated(path):
        path.write_text(text, encoding="utf-8")
    return path


async def tools(face: Face, _: Line) -> None:
    face.page("Tools", words.tools(face.tab.tools()))


async def errors(face: Face, _: Line) -> None:
    face.page("Errors", words.errors(face.tab.errors))


async def abort(face: Face, _: Line) -> None:
    waiting = await face.tab.abort()
    if waiting:
        face.say("not sent any more:\n" + "\n".join(waiting))


async def land(face: Face, line: Line) -> None:
    into, new = line.options.get("--into"), line.options.get("--branch")
    if into and new:
        raise UsageError("--into an existing branch, or a new --branch: not both")
    how: Literal["merge", "squash"] = "merge" if line.has("--merge") else "squash"
    landed = await face.tab.land(into=into, new=new, how=how)
    if landed.commit == landed.before:
        face.say(f"{landed.branch} has all of it already")
        return
    files = "".join(f"\n  {f.path} (+{f.additions} -{f.deletions})" for f in landed.files)
    undo = landed.undo((face.tab.branch or "").removeprefix("mlxk/"))
    face.say(f"landed on {landed.branch} as {landed.commit[:10]}{files}\n  undo: {undo}")


async def check(face: Face, line: Line) -> None:
    if not line.rest:
        raise UsageError("which command?", hint="/check pytest -q")
    face.tab.check(line.rest)


async def undo(face: Face, line: Line) -> None:
    done = await face.tab.undo(step=line.number("--step"), turn=line.number("--turn"))
    face.say(f"{done.subject}; /undo --step {done.number - 1} takes that back")


async def clear(face: Face, line: Line) -> None:
    closed = await face.tab.clear(line.options.get("--config"))
    if closed.branch:
        face.say(words.closed(closed))


async def model(face: Face, line: Line) -> None:
    if not line.rest:
        state = face.tab.status().model
        face.say(f"{state.name} ({state.api}): {state.error or state.phase}")
        return
    api, url = line.options.get("--api"), line.options.get("--url")
    await face.tab.set_model(line.rest, api=api, url=url)


async def allow(face: Face, line: Line) -> None:
    _answer(face, True, always=line.has("--always"))


async def deny(face: Face, _: Line) -> None:
    _answer(face, False, always=False)


def _answer(face: Face, allow: bool, *, always: bool) -> None:
    questions = face.tab.status().questions
    if not questions:
        raise UsageError("nothing is asked now")
    face.tab.answer(questions[0].id, allow, always=always)


async def remove(face: Face, line: Line) -> None:
    if not line.rest:
        raise UsageError("which session?", hint="/branches lists them")
    name = await face.desk.remove(line.rest, force=line.has("--force"))
    face.say(f"removed {name}; mlxk branch restore {name.removeprefix('mlxk/')} brings it back")


async def exit(face: Face, line: Line) -> None:
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
