"""Content against its name: sha256 for large files, git's sha1 for small ones."""

import hashlib
import re
from collections.abc import Callable
from typing import Any

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_CHUNK = 1 << 20

Tick = Callable[[int], None]


def is_sha256(name: str) -> bool:
    return _SHA256.fullmatch(name) is not None


def is_checksum(name: str) -> bool:
    return bool(_SHA256.fullmatch(name) or _SHA1.fullmatch(name))


def start(blob: str, size: int) -> Any:
    """A hash object that, fed the file's bytes, should end with `blob` as its hexdigest."""
    if _SHA256.fullmatch(blob):
        return hashlib.sha256()
    # Not for security: git names a file by the sha1 of this header and its bytes.
    digest = hashlib.sha1(usedforsecurity=False)
    digest.update(b"blob %d\0" % size)
    return digest


def feed(digest: Any, path: str, tick: Tick | None = None) -> int:
    """Feed a file; returns how many bytes it had."""
    buffer = memoryview(bytearray(_CHUNK))
    total = 0
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            total += count
            if tick:
                tick(count)
    return total


def matches(path: str, blob: str, size: int, tick: Tick | None = None) -> bool:
    digest = start(blob, size)
    return feed(digest, path, tick) == size and digest.hexdigest() == blob
