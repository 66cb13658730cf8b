"""Requests about the file that was just spoken of: "it"."""

# ruff: noqa: E501 -- one template a line

import shlex

from training.tiny_agent.grammar import Template, templates
from training.tiny_agent.phrasings.nouns import SLOTS
from training.tiny_agent.phrasings.running import PROGRAMS
from training.tiny_agent.requests import (
    AddText,
    Goal,
    Request,
    do,
    fill,
    is_plain,
    marked_path,
    quoted,
)
from training.tiny_agent.source import Source
from training.tiny_agent.values import altered, short

_IT = "[it|it|it|the file|that file|this file]"
READ = templates(f"""
    4* [read|show|show me|print|open|display|cat] {_IT}[| again| back]
    what is in {_IT}[| now][?|]
    what's in {_IT}[| now][?|]
    show {_IT} to me
    what does {_IT} [say|contain][| now][?|]
    [let me see|show me what is in|read] {_IT}
    [check|verify] {_IT}
    show me the [file|result|contents]
""")
ADD = templates(f"""
    3* [append|add] [||the line |the text |a line |another line ]{{text}} to {_IT}
    2* [add|append|put] [||the line |a line ]{{text}} [to the end of|at the end of|at the bottom of] {_IT}
    [append|add] {{text}} at the end
    [append|add] [a|another|one more|a new] line [saying|that says|with the text|with|containing] {{text}} to {_IT}
    [append|add] [a|another|one more|a second|a new] line to {_IT} [saying|that says|with the text|with|containing] {{text}}
    [append|add] [a|another|one more|a second] line [saying|that says|with the text] {{text}}
    add to {_IT}: {{text}}
""")
PREPEND = templates(f"""
    [add|put|insert] {{text}} at the [top|beginning|start] of {_IT}
""")
REPLACE = templates(f"""
    2* [replace {{a}} with {{b}}|change {{a}} to {{b}}|change {{a}} into {{b}}|replace {{a}} by {{b}}] in {_IT}
    in {_IT}[,|] [replace {{a}} with {{b}}|change {{a}} to {{b}}]
    [replace|change] {{a}} [with|to] {{b}}[| there]
    [edit|change|update] {_IT} so that {{a}} becomes {{b}}
""")
WRITE = templates(f"""
    overwrite {_IT} with {{text}}
    write {{text}} [to|into] {_IT}
    [replace|change] the [content|contents] of {_IT} [with|to] {{text}}
""")
RUN = templates(f"""
    3* [run|execute|start|run] {_IT}
    [run|execute] {_IT} [now|in the shell]
    run the [script|program]
    try [it|running it]
""")
RUN_WITH = templates(f"""
    [run|execute|start|test|check|try] {_IT} with {{command}}
    run {_IT}: {{command}}
    run {{command}}
""")
DELETE = templates(f"[delete|remove] {_IT}[| again]")
RENAME = templates(f"[rename|move] {_IT} to {{other}}")
COPY = templates(f"copy {_IT} to {{other}}")
KINDS = (
    "read",
    "read",
    "read",
    "add",
    "add",
    "add",
    "replace",
    "replace",
    "run",
    "run",
    "write",
    "prepend",
    "manage",
)


def follow(source: Source, path: str, *, closed: bool = False) -> Request:
    kind = source.pick(KINDS)
    extension = path.rsplit(".", 1)[-1]
    if kind == "run" and extension in PROGRAMS:
        return _run(source, path, PROGRAMS[extension])
    if kind == "replace":
        return _replace(source, path) or follow(source, path, closed=closed)
    if kind == "manage":
        return _manage(source, path)
    if kind in ("add", "write", "prepend"):
        return _write(source, path, kind, closed) or follow(source, path, closed=closed)
    return _request(source, READ, {}, do("Read", path=path))


def _run(source: Source, path: str, program: str) -> Request:
    if source.chance(0.25):
        words = source.pick(
            (
                "python {}",
                "python3 {}",
                "sh {}",
                "./{}",
                "bash {}",
                "node {}",
                "cat {}",
                "uv run {}",
            )
        )
        line = words.format(shlex.quote(path))
        shown = line if source.chance(0.4) else quoted(source, line)
        return _request(source, RUN_WITH, {"command": shown or line}, do("Bash", command=line))
    return _request(source, RUN, {}, do("Bash", command=f"{program} {shlex.quote(path)}"))


def _replace(source: Source, path: str) -> Request | None:
    old = short(source)
    new = altered(source, old) if source.chance(0.3) else short(source)
    mark = source.pick("\"\"''`")
    if mark in old + new or old == new or old != old.strip() or new != new.strip():
        return None
    bare = is_plain(old) and is_plain(new) and source.chance(0.3)
    slots = {"a": old, "b": new} if bare else {"a": mark + old + mark, "b": mark + new + mark}
    return _request(source, REPLACE, slots, do("Edit", path=path, old_string=old, new_string=new))


def _write(source: Source, path: str, kind: str, closed: bool) -> Request | None:
    text = short(source)
    bare = is_plain(text) and source.chance(0.35)
    shown = text if bare else quoted(source, text)
    if shown is None or text != text.strip():
        return None
    if kind == "write":
        return _request(source, WRITE, {"text": shown}, do("Write", path=path, content=text))
    place = "start" if kind == "prepend" else "end"
    return _request(
        source, PREPEND if kind == "prepend" else ADD, {"text": shown}, AddText(path, text, place)
    )


def _manage(source: Source, path: str) -> Request:
    other = source.path()
    slots = {"other": marked_path(source, other)}
    words, options = source.pick((("rm", DELETE), ("mv", RENAME), ("cp", COPY)))
    line = shlex.join((words, path) if words == "rm" else (words, path, other))
    return _request(source, options, slots, do("Bash", command=line))


def _request(
    source: Source, options: tuple[Template, ...], slots: dict[str, str], goal: Goal
) -> Request:
    return Request(fill(source, options, {**SLOTS, **slots})[0], (goal,))
