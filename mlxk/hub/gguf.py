"""The front of a GGUF file: what it says about the model, and whether its tensors are all there.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import struct
from dataclasses import dataclass
from math import prod

from mlxk.hub import text

Value = int | float | bool | str

# Values of fixed size by type number; 8 is a string, 9 an array.
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i",
    6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
# Tensor types: how many weights a block packs, and its bytes.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
_DIMENSIONS = 4
# Steps through strings that a listing has time for: most of a vocabulary is too long.
_FEW = 4096


@dataclass(frozen=True, slots=True)
class Front:
    """`fields` are the single values; arrays are passed over."""

    fields: dict[str, Value]
    problem: str | None = None


class _Cut(Exception):
    """The file ends, or makes no sense, before its front does."""


class _Enough(Exception):
    """A listing has seen what it has time for."""


def read(path: str, *, thorough: bool = True) -> Front:
    fields: dict[str, Value] = {}
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            head = file.read(200)
            if problem := _impostor(head):
                return Front({}, problem)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                problem = _Cursor(data, None if thorough else _FEW).walk(fields)
    except OSError as e:
        return Front({}, (e.strerror or str(e)).lower())
    return Front(fields, problem)


def _impostor(head: bytes) -> str | None:
    if not head:
        return "is empty"
    if head[:4] == b"GGUF":
        return None
    return text.impostor(head) or "is not a GGUF file"


class _Cursor:
    """A place in the file that moves on with every read."""

    def __init__(self, data: mmap.mmap, steps: int | None) -> None:
        self._data, self._at, self._steps = data, 4, steps

    def walk(self, fields: dict[str, Value]) -> str | None:
        """Fill `fields`; the problem, or None."""
        try:
            version = self._number("<I")
            if version not in (2, 3):
                return f"has GGUF version {version}, which no loader knows"
            tensors, values = self._number("<Q"), self._number("<Q")
            for _ in range(values):
                self._field(fields)
            end = max((self._tensor() for _ in range(tensors)), default=0)
        except _Enough:
            return None
        except (_Cut, struct.error, UnicodeDecodeError):
            return "cut short, or its header is damaged"
        alignment = fields.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1:
            return "has an alignment that is not a number"
        start = -(-self._at // alignment) * alignment
        missing = start + end - len(self._data)
        return f"cut short: {missing} bytes are missing" if missing > 0 and tensors else None

    def _field(self, fields: dict[str, Value]) -> None:
        name, kind = self._text(), self._number("<I")
        if kind == _ARRAY:
            self._skip_array()
        elif kind == _STRING:
            fields[name] = self._text()
        else:
            fields[name] = self._number(self._format(kind))

    def _skip_array(self, depth: int = 0) -> None:
        kind, count = self._number("<I"), self._number("<Q")
        if kind not in (_STRING, _ARRAY):
            self._move(count * struct.calcsize(self._format(kind)))
            return
        if kind == _ARRAY and depth > 3:
            raise _Cut
        for _ in range(count):
            if kind == _STRING:
                self._move(self._number("<Q"))
            else:
                self._skip_array(depth + 1)

    def _tensor(self) -> int:
        """The offset at which a tensor ends, from the start of the data."""
        self._text()
        dimensions = self._number("<I")
        if dimensions > _DIMENSIONS:
            raise _Cut
        weights = prod(self._number("<Q") for _ in range(dimensions))
        kind, offset = self._number("<I"), self._number("<Q")
        per_block, size = _BLOCKS.get(kind, (0, 0))
        if per_block == 0 or weights % per_block:
            raise _Cut
        return offset + weights // per_block * size

    def _format(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise _Cut
        return _SCALARS[kind]

    def _text(self) -> str:
        length = self._number("<Q")
        start = self._at
        self._move(length)
        return self._data[start : self._at].decode("utf-8")

    def _number(self, form: str) -> int:
        start = self._at
        self._move(struct.calcsize(form))
        (value,) = struct.unpack_from(form, self._data, start)
        return value  # type: ignore[no-any-return]

    def _move(self, count: int) -> None:
        if self._steps is not None:
            self._steps -= 1
            if self._steps < 0:
                raise _Enough
        self._at += count
        if self._at > len(self._data):
            raise _Cut
