"""Calls that must be made, as a grammar in llguidance's notation: a family's frame, filled."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from mlxk.chat.types import Tool
from mlxk.engine.toolcalls.frames import Frame, Pairs

# JSON leaves white space free, and nothing ends a row of calls: small models would use that freedom
# for ever.
_MOST_CALLS = 32
JSON: Any = {"whitespace_pattern": r"[ \n]{0,12}"}


def calls(tools: Sequence[Tool], frame: Frame, added: Mapping[str, int]) -> str:
    """One call of `tools`, or more where the frame knows how. `added` tokens are named by id:
    llguidance keeps them out of text, also those that a tokenizer does not call special."""
    return "\n".join(_Writing(added).rules(tools, frame))


class _Writing:
    def __init__(self, added: Mapping[str, int]) -> None:
        self._added = added
        marks = sorted(filter(None, added), key=len, reverse=True)
        self._marks = re.compile(f"({'|'.join(map(re.escape, marks))})" if marks else r"(?!)")

    def rules(self, tools: Sequence[Tool], frame: Frame) -> Iterator[str]:
        more = (
            ""
            if frame.joint is None
            else f" ({self._text(frame.joint)} call){{0,{_MOST_CALLS - 1}}}"
        )
        yield f"start: {self._text(frame.first)} call{more} {self._text(frame.last)}"
        yield "call: " + " | ".join(f"c{i}" for i in range(len(tools)))
        for i, tool in enumerate(tools):
            opening, closing = self._text(frame.before + tool.name + frame.between), frame.after
            yield f"c{i}: {opening} a{i} {self._text(closing)}"
            if frame.pairs is None:
                yield f"a{i}: {_json({'type': 'object', **tool.parameters})}"
            else:
                yield from self._pairs(f"a{i}", tool.parameters, frame.pairs)

    def _pairs(self, name: str, schema: Mapping[str, Any], pairs: Pairs) -> Iterator[str]:
        """In the order of the schema; what is not required may be left out."""
        items, needed = [], schema.get("required") or ()
        shared = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
        for i, (key, wanted) in enumerate((schema.get("properties") or {}).items()):
            value = f"{name}_{i}"
            items.append(f"p{value}" if key in needed else f"(p{value})?")
            opening = self._text(pairs.before + key + pairs.between)
            if _is_text(wanted):
                yield from self._free(value, pairs.after)
                yield f"p{value}: {opening} {value}"
            else:
                yield f"{value}: {_value(wanted, shared)}"
                yield f"p{value}: {opening} {value} {self._text(pairs.after)}"
        yield f"{name}: {' '.join(items) or _quoted('')}"

    def _free(self, name: str, after: str) -> Iterator[str]:
        """Any text up to `after`, which it contains."""
        first, *rest = self._parts(after)
        tail = " ".join(map(self._part, rest))
        if first in self._added:
            yield f"{name}: /(?s:.*)/ {self._part(first)} {tail}"
        else:
            closing = re.escape(first).replace("/", r"\/").replace("\\\n", r"\n")
            yield f"{name}: t{name} {tail}"
            yield f"t{name}[lazy]: /(?s:.*){closing}/"

    def _text(self, text: str) -> str:
        return " ".join(map(self._part, self._parts(text)))

    def _parts(self, text: str) -> list[str]:
        return [part for part in self._marks.split(text) if part]

    def _part(self, part: str) -> str:
        return f"<[{self._added[part]}]>" if part in self._added else _quoted(part)


def _value(schema: Any, shared: Mapping[str, Any]) -> str:
    """`shared` is what its references may mean."""
    match schema:
        case {"enum": [_, *_] as choices} if all(isinstance(choice, str) for choice in choices):
            return " | ".join(map(_quoted, choices))
        case {**own}:
            return _json({**shared, **own})
        case _:
            return _json(schema)


def _is_text(schema: Any) -> bool:
    """What has no type may be anything, and is written as it comes."""
    if not isinstance(schema, dict) or "enum" in schema:
        return not isinstance(schema, dict)
    kind = schema.get("type")
    return kind == "string" or not (kind or {"anyOf", "oneOf", "allOf", "$ref"} & schema.keys())


def _json(schema: Any) -> str:
    written = {**schema, "x-guidance": JSON} if isinstance(schema, dict) else schema
    return f"%json {orjson.dumps(written).decode()}"


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()
