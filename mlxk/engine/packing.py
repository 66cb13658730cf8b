"""Token ids side by side in memory, 4 bytes each, so that comparing many is one comparison."""

from array import array
from collections.abc import Sequence


def packed(tokens: Sequence[int]) -> bytes:
    return array("i", tokens).tobytes()


def common(a: bytes, b: bytes) -> int:
    """How many leading ids two packed sequences share, by halving."""
    low, high = 0, min(len(a), len(b)) // 4
    while low < high:
        middle = (low + high + 1) // 2
        if a[low * 4 : middle * 4] == b[low * 4 : middle * 4]:
            low = middle
        else:
            high = middle - 1
    return low
