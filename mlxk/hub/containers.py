"""The zip archives in which numpy and PyTorch keep arrays: whole or cut?"""

import os
import struct
from typing import BinaryIO

from mlxk.hub import text

_ZIP_END = b"PK\x05\x06"
_ZIP_TAIL = 65_557  # the end record with the longest comment
_PICKLE = b"\x80"


def problem(path: str) -> str | None:
    """Why the container cannot be opened, or None."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            size = os.fstat(file.fileno()).st_size
            return _look(file, path, size)
    except OSError as e:
        return (e.strerror or str(e)).lower()


def _look(file: BinaryIO, path: str, size: int) -> str | None:
    head = file.read(200)
    if size == 0:
        return "is empty"
    if found := text.impostor(head):
        return found
    if head.startswith(b"PK\x03\x04"):
        return _zip(file, size)
    # PyTorch before 1.6 wrote a bare pickle.
    legacy = head.startswith(_PICKLE) and not path.endswith(".npz")
    return None if legacy else "is neither a zip archive nor a pickle"


def _zip(file: BinaryIO, size: int) -> str | None:
    start = max(0, size - _ZIP_TAIL)
    file.seek(start)
    tail = file.read(_ZIP_TAIL)
    at = tail.rfind(_ZIP_END)
    if at < 0 or len(tail) - at < 22:
        return "cut short: the archive has no end"
    entries, length, offset = struct.unpack_from("<HII", tail, at + 10)
    is_zip64 = 0xFFFFFFFF in (length, offset) or entries == 0xFFFF
    if not is_zip64 and offset + length > start + at:
        return "cut short: the archive's directory does not fit"
    return None
