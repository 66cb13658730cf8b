"""What a user asks for: the words, and the goals they stand for."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from training.tiny_agent.grammar import Slots, Template, expand
from training.tiny_agent.source import Source
from training.tiny_agent.tools import Call


@dataclass(frozen=True, slots=True)
class Do:
    """One tool call that the request spells out."""

    call: Call
    tools = property(lambda self: frozenset({self.call.name}))


@dataclass(frozen=True, slots=True)
class AddText:
    """There is no tool for it: read the file, then write it again with the text added."""

    path: str
    text: str
    place: Literal["start", "end"]
    tools = frozenset({"Read", "Write"})


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """Read that line alone, then edit it."""

    path: str
    number: int
    text: str
    tools = frozenset({"Read", "Edit"})


Goal = Do | AddText | ChangeLine


@dataclass(frozen=True, slots=True)
class Request:
    """`closed`: more words may follow it. `opens_with_value`: its first letter must stay."""

    text: str
    goals: tuple[Goal, ...]
    closed: bool = True
    opens_with_value: bool = False


_PLAIN = re.compile(r"[\w(][\w .,'/:=()-]*[\w)]|\w")
_LINKS = re.compile(
    r" (with|to|by|in|into|for|from|as|of|at|on|and|then|becomes|inside|instead|everywhere|please) "
    r"|->|, then|; "
)
_OPENERS = frozenset(("a", "an", "all", "any", "at", "every", "each", "the", "it", "its"))
_OPENING_NOUNS = frozenset(
    ("line", "lines", "text", "file", "files", "word", "words", "to", "in", "with")
)


def is_plain(text: str) -> bool:
    """Can stand in the middle of a request without quotes."""
    if not _PLAIN.fullmatch(text) or text[-1] in ".,:;" or _LINKS.search(f" {text} "):
        return False
    return text.split()[0].lower() not in _OPENERS | _OPENING_NOUNS


def is_quoted(text: str) -> bool:
    return text[0] in "`\"'" or text[-1] in "`\"'"


def quoted(source: Source, text: str) -> str | None:
    marks = [mark for mark in "\"\"''`" if mark not in text]
    if not marks or "\n" in text:
        return None
    mark = source.pick(marks)
    return mark + text + mark


def marked_path(source: Source, path: str) -> str:
    if " " not in path and source.chance(0.85):
        return path
    mark = source.pick("``\"'")
    return mark + path + mark


def fill(source: Source, options: Iterable[Template], slots: Slots) -> tuple[str, Template]:
    template = source.pick(tuple(options))
    return expand(template, source, slots, shout=source.chance(0.012)), template


def do(name: str, **arguments: str | int | bool | None) -> Do:
    return Do(Call(name, {k: v for k, v in arguments.items() if v is not None}))
