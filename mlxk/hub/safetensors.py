"""The header of a safetensors file: is it whole, and what does it name? Never reads the weights."""

import os
import struct
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

from mlxk.hub import text

# https://github.com/huggingface/safetensors#format caps the header at 100 MB.
_LIMIT = 100_000_000
_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip

Shape = list[int]


@dataclass(frozen=True, slots=True)
class Header:
    """`problem` is why the file cannot be loaded; then there are no shapes."""

    shapes: dict[str, Shape]
    format: str | None = None
    problem: str | None = None


def read(path: str) -> Header:
    """One open, two reads: the length of the header, then the header."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 -- 300 models a listing
            size = os.fstat(file.fileno()).st_size
            head = file.read(8)
            length = struct.unpack("<Q", head)[0] if len(head) == 8 else -1
            if not 0 < length <= min(_LIMIT, size - 8):
                return _broken(_why(head + file.read(120), size))
            raw = file.read(length)
    except OSError as e:
        return _broken((e.strerror or str(e)).lower())
    return _parsed(raw, size - 8 - length)


def _parsed(raw: bytes, data: int) -> Header:
    tensors = text.parse(raw)
    if not isinstance(tensors, dict):
        return _broken("header is not a JSON object")
    metadata = tensors.pop("__metadata__", None)
    try:
        problem = _layout(tensors, data)
        shapes = {name: entry["shape"] for name, entry in tensors.items()}
    except (KeyError, TypeError, ValueError, OverflowError):
        return _broken("a tensor's entry in the header is not valid")
    kind = metadata.get("format") if isinstance(metadata, dict) else None
    return Header({} if problem else shapes, kind if isinstance(kind, str) else None, problem)


def _layout(tensors: dict[str, Any], data: int) -> str | None:
    """Whether the tensors' byte ranges fit their shapes, and together the file."""
    entries = tensors.values()
    shapes = [entry["shape"] for entry in entries]
    ranges = [entry["data_offsets"] for entry in entries]
    sizes = [prod(entry["shape"]) * _BYTES[entry["dtype"]] for entry in entries]
    spans = [stop - start for start, stop in ranges]
    total = sum(spans)
    if sizes != spans or _lowest(shapes) < 0 or type(sum(sizes)) is not int:
        odd = (n for n, size, span in zip(tensors, sizes, spans, strict=True) if size != span)
        return f"tensor {next(odd, '?')}: its bytes do not fit its shape"
    end = max((stop for _, stop in ranges), default=0)
    if end > data:
        return f"cut short: {end - data} bytes are missing"
    if end < data or total != data or _lowest(ranges) < 0 or type(total) is not int:
        return f"the header names {total} bytes of tensors, the file holds {data}"
    return None


def _lowest(lists: list[list[int]]) -> int:
    """The smallest number in any of them; a scalar's shape has none."""
    return min(chain.from_iterable(lists), default=0)


def _why(head: bytes, size: int) -> str:
    if impostor := text.impostor(head):
        return impostor
    return "is empty" if size == 0 else "cut short: the header is not whole"


def _broken(problem: str) -> Header:
    return Header({}, None, problem)
