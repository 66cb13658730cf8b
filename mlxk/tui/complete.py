"""Completion of commands, their options and paths. Knows no widgets."""

import os
from collections.abc import Iterable
from pathlib import Path

from mlxk.tui.commands import COMMANDS

_MOST = 200


def complete(text: str, folder: Path) -> tuple[str, list[str]]:
    """(the line with what all candidates share, the candidates) for a cursor at the end of it."""
    start = max(text.rfind(" "), text.rfind("\n")) + 1
    word = text[start:]
    if text.startswith("/") and start == 0:
        found = [name for name in COMMANDS if name.startswith(word)]
        return _extended(text, start, found, " ")
    command = COMMANDS.get(text.split(" ", 1)[0])
    if command and word.startswith("-"):
        options = sorted(command.flags | command.values)
        return _extended(text, start, [o for o in options if o.startswith(word)], " ")
    if not word:
        return text, []
    return _extended(text, start, list(_paths(word.removeprefix("@"), folder)), "")


def _extended(text: str, start: int, found: list[str], end: str) -> tuple[str, list[str]]:
    if not found:
        return text, []
    if len(found) == 1:
        return text[:start] + found[0] + end, []
    shared = _shared(found)
    return text[:start] + max(shared, text[start:], key=len), found


def _shared(found: list[str]) -> str:
    """What all of them begin with."""
    first, last = min(found), max(found)
    end = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    return first[:end]


def _paths(word: str, folder: Path) -> Iterable[str]:
    """Those that begin so; folders end in a slash. Hidden ones only when asked for."""
    shown, _, name = word.rpartition("/")
    shown = f"{shown}/" if "/" in word else ""
    where = folder / Path(shown).expanduser()
    try:
        entries = sorted(os.scandir(where), key=lambda entry: entry.name)
    except OSError:
        return
    count = 0
    for entry in entries:
        if not entry.name.startswith(name) or (entry.name.startswith(".") and not name):
            continue
        if entry.name == ".git" or count >= _MOST:
            continue
        count += 1
        yield shown + entry.name + ("/" if entry.is_dir() else "")
