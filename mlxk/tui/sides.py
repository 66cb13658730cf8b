"""A unified diff as two columns, old and new. Knows no widgets."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

Kind = Literal["file", "hunk", "same", "changed"]
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)")


@dataclass(frozen=True, slots=True)
class Side:
    """A line of one version: its number, and its text without the mark."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """`title` goes with a file or a hunk; else what stands left and right, None where nothing."""

    kind: Kind
    title: str = ""
    old: Side | None = None
    new: Side | None = None


def rows(patch: str) -> Iterator[Row]:
    """Every line of the patch, deletions beside the additions that follow them."""
    old: list[Side] = []
    new: list[Side] = []
    at_old = at_new = 0
    inside = False
    for line in patch.split("\n"):
        mark, text = line[:1], line[1:]
        if inside and mark == "-":
            if new:
                yield from _paired(old, new)
            old.append(Side(at_old, text))
            at_old += 1
            continue
        if inside and mark == "+":
            new.append(Side(at_new, text))
            at_new += 1
            continue
        yield from _paired(old, new)
        if inside and mark == " ":
            yield Row("same", "", Side(at_old, text), Side(at_new, text))
            at_old, at_new = at_old + 1, at_new + 1
        elif found := _HUNK.match(line):
            at_old, at_new, inside = int(found[1]), int(found[2]), True
            yield Row("hunk", found[3])
        elif line.startswith("diff --git "):
            inside = False
            yield Row("file", _name(line))
        elif line.startswith(("new file", "deleted file", "rename ", "Binary files")):
            yield Row("hunk", line)
    yield from _paired(old, new)


def _paired(old: list[Side], new: list[Side]) -> Iterator[Row]:
    """And forget them."""
    for left, right in zip_longest(old, new):
        yield Row("changed", "", left, right)
    old.clear()
    new.clear()


def _name(line: str) -> str:
    """`diff --git a/x b/x` -> `x`; of a renamed file both."""
    before, _, after = line.removeprefix("diff --git ").partition(" b/")
    before = before.removeprefix("a/")
    return after if before == after or not before else f"{before} → {after}"
