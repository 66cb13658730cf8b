"""JSON out and in. orjson where it can; text that is not valid Unicode is escaped, not lost."""

import json
from dataclasses import asdict, is_dataclass
from math import isfinite
from typing import Any, NoReturn

import orjson

from mlxk.contract.errors import InvalidDocument


def dumps(value: object, *, newline: bool = False, indent: bool = False) -> bytes:
    """Dataclasses, tuples and enums included. Lone surrogates become `\\udXXX` escapes."""
    option = (orjson.OPT_APPEND_NEWLINE if newline else 0) | (orjson.OPT_INDENT_2 if indent else 0)
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        text = json.dumps(value, default=_plain, indent=2 if indent else None)
        return text.encode() + (b"\n" if newline else b"")


def valid(text: str) -> str:
    """`text` as UTF-8 can hold it: bytes that were none (of a file name, say) become \ufffd."""
    return text.encode(errors="surrogatepass").decode(errors="replace")


def loads(data: bytes | str, what: str = "input") -> Any:
    """Parse JSON from outside; InvalidDocument names the place."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        # Accepts lone surrogates, which orjson refuses, but not its own NaN, nor 1e999.
        return json.loads(data, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as e:
        raise InvalidDocument(f"{what} is not valid JSON: {e}") from e


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    return value if isfinite(value) else _refuse_constant(text)


def _plain(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
