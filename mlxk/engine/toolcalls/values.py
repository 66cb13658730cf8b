"""Values as models write them: JSON, what is nearly JSON, Python. Knows no marks and no schema."""

import ast
import json
import re
from collections.abc import Iterable
from typing import Any

import orjson

# Line ends inside of a string are not JSON, and models write them all the same.
_LENIENT = json.JSONDecoder(strict=False)
_NO_VALUE = (ValueError, SyntaxError, RecursionError, MemoryError)
_WORDS = {"true": True, "false": False, "null": None}


def value_of(text: str) -> Any:
    """None where it is no value at all, as where it is `null`."""
    text = text.strip()
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return _LENIENT.decode(text)
    except _NO_VALUE:
        return python_value(text)


def first_value(text: str) -> Any:
    """The JSON that `text` begins with, whatever follows it; None where that is none."""
    try:
        return _LENIENT.raw_decode(text)[0]
    except _NO_VALUE:
        return None


def python_value(text: str) -> Any:
    try:
        return literal(ast.parse(text, mode="eval").body)
    except _NO_VALUE:
        return None


def literal(node: ast.expr) -> Any:
    """A literal as JSON could hold it; ValueError where it is another expression."""
    return _plain(ast.literal_eval(_Words().visit(node)))


class _Words(ast.NodeTransformer):
    """JSON's words among Python's."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(_WORDS[node.id]) if node.id in _WORDS else node


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | set():
            return [_plain(item) for item in value]
        case str() | int() | float() | None:
            return value
        case _:
            raise ValueError(f"JSON has no {type(value).__name__}")


def objects(text: str) -> Iterable[str]:
    """`{...}; {...}` or one a line, cut where a bracket closes the outermost one."""
    depth, start, quoted, escaped = 0, 0, False, False
    for at, character in enumerate(text):
        if quoted:
            quoted, escaped = escaped or character != '"', character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character == "{":
            start, depth = (at if depth == 0 else start), depth + 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                yield text[start : at + 1]


def ends_in_string(text: str) -> bool:
    return bool(_ESCAPED.sub("", text).count('"') % 2)


_ESCAPED = re.compile(r"\\.", re.DOTALL)
