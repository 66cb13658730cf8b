"""JSON and other text files of a model: read, and say plainly what is wrong with one."""

import json
import math
from typing import TypeVar

import orjson

T = TypeVar("T")

# What a listing reads of a large file: enough to see a cut, a web page or a pointer.
_WHOLE = 1 << 20
_END = 64


def parse(raw: bytes) -> object:
    """The JSON value, or `Invalid`. What orjson refuses and Python's json takes (NaN) is valid."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _lenient(raw)


class Invalid:
    """What `parse` returns for bytes that are no JSON: equal to nothing, instance of nothing."""


def objects(path: str) -> dict[str, object] | str:
    """A file that must hold a JSON object; else the problem, as words that follow its name."""
    raw = content(path)
    if isinstance(raw, str):
        return raw
    value = parse(raw)
    return value if isinstance(value, dict) else complaint(raw, value)


def content(path: str) -> bytes | str:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 -- thousands in a listing
            return file.readall()
    except OSError as e:
        return (e.strerror or str(e)).lower()


def complaint(raw: bytes, value: object) -> str:
    """Why `raw`, parsed as `value`, is not the JSON object it should be."""
    if not raw.strip():
        return "is empty"
    if found := impostor(raw[:200]):
        return found
    if not isinstance(value, Invalid):
        return "is not a JSON object"
    return "is not JSON" if is_utf8(raw) else "is not UTF-8"


def impostor(head: bytes) -> str | None:
    """Something else under this file's name: what a proxy or a clone without LFS leaves behind."""
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file"
    if head.lstrip()[:1] == b"<":
        return "is an HTML or XML page, not the file"
    return None


def looks_whole(path: str, size: int) -> str | None:
    """The cheap look at a large JSON object: its first and last bytes."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            head = file.read(200)
            file.seek(max(0, size - _END))
            tail = file.read(_END)
    except OSError as e:
        return (e.strerror or str(e)).lower()
    if found := impostor(head):
        return found
    whole = head.lstrip()[:1] == b"{" and tail.rstrip()[-1:] == b"}"
    return None if whole else "is not a JSON object: its end or its beginning is missing"


def is_small(size: int) -> bool:
    return size <= _WHOLE


def text_of(value: object) -> str | None:
    return value if isinstance(value, str) else None


def plain(value: object, depth: int = 100) -> object:
    """The same value in strict JSON: no NaN, no number that other languages cannot hold."""
    match value:
        case dict() | list() if not depth:
            return None
        case dict():
            return {key: plain(item, depth - 1) for key, item in value.items()}
        case list():
            return [plain(item, depth - 1) for item in value]
        case float() if not math.isfinite(value):
            return None
        case int() if not -(2**63) <= value < 2**64:
            return float(value) if abs(value) < 10**300 else None
    return value


def count_of(value: object) -> int | None:
    """A whole number, as configurations write it: not a flag, not a fraction."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _lenient(raw: bytes) -> object:
    try:
        return json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return Invalid()


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
