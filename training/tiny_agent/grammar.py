"""A template language for phrasings: `[a|b|]` chooses, `{slot}` inserts, `⏎` breaks the line."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from training.tiny_agent.source import Source

Slots = Mapping[str, str | Callable[[Source], str]]
_TOKEN = re.compile(r"\{(\w+)\}|([\[\]|])")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Slot:
    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple["Nodes", ...]


Nodes = tuple["str | Slot | Choice", ...]


@dataclass(frozen=True, slots=True)
class Template:
    nodes: Nodes

    @property
    def opens_with_slot(self) -> bool:
        return isinstance(self.nodes[0], Slot)

    def slot_names(self) -> frozenset[str]:
        return frozenset(_names(self.nodes))

    def ends_with(self, name: str) -> bool:
        return self.nodes[-1] == Slot(name)


def templates(text: str) -> tuple[Template, ...]:
    """One template a line; a line that starts with `3* ` counts three times."""
    found: list[Template] = []
    for line in filter(None, (raw.strip() for raw in text.splitlines())):
        weight, star, rest = line.partition("* ")
        times = int(weight) if star and weight.isdigit() else 1
        found += [parse(rest if times > 1 else line)] * times
    return tuple(found)


def parse(text: str) -> Template:
    stack: list[list[list[str | Slot | Choice]]] = [[[]]]
    at = 0
    for match in _TOKEN.finditer(text := text.replace("⏎", "\n")):
        if match.start() > at:
            stack[-1][-1].append(text[at : match.start()])
        at = match.end()
        if match[1]:
            stack[-1][-1].append(Slot(match[1]))
        elif match[2] == "[":
            stack.append([[]])
        elif match[2] == "|":
            stack[-1].append([])
        else:
            options = stack.pop()
            stack[-1][-1].append(Choice(tuple(tuple(o) for o in options)))
    if at < len(text):
        stack[-1][-1].append(text[at:])
    return Template(tuple(stack[0][0]))


def parse_slots(text: str) -> Template:
    """For code samples, where brackets and bars are themselves."""
    parts = _SLOT.split(text)
    return Template(tuple(Slot(p) if i % 2 else p for i, p in enumerate(parts) if p))


def expand(template: Template, source: Source, slots: Slots, *, shout: bool = False) -> str:
    """`shout` puts the template's own words, not the values, in capitals."""
    return "".join(_expand(template.nodes, source, slots, shout))


def _expand(nodes: Nodes, source: Source, slots: Slots, shout: bool) -> list[str]:
    parts: list[str] = []
    for node in nodes:
        if isinstance(node, str):
            parts.append(node.upper() if shout else node)
        elif isinstance(node, Slot):
            value = slots[node.name]
            parts.append(value if isinstance(value, str) else value(source))
        else:
            parts += _expand(source.pick(node.options), source, slots, shout)
    return parts


def _names(nodes: Nodes) -> list[str]:
    names: list[str] = []
    for node in nodes:
        if isinstance(node, Slot):
            names.append(node.name)
        elif isinstance(node, Choice):
            for option in node.options:
                names += _names(option)
    return names
