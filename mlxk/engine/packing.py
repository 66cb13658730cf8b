"""Token ids side by side in memory, 4 bytes each, so that comparing many is one comparison."""

from array import array
from collections.abc import Sequence

WIDTH = 4
_FEW = 16


def packed(tokens: Sequence[int]) -> bytes:
    return array("i", tokens).tobytes()


def common(a: bytes, b: bytes) -> int:
    """How many leading ids two packed sequences share: by doubling what is alike, then by halving
    what may be. Most sequences part ways at once, or never."""
    most = min(len(a), len(b)) // WIDTH
    low, high = 0, min(_FEW, most)
    while low < high and _alike(a, b, low, high):
        low, high = high, min(high * 2, most)
    while low < high:
        middle = (low + high + 1) // 2
        if _alike(a, b, low, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _alike(a: bytes, b: bytes, low: int, high: int) -> bool:
    return a[low * WIDTH : high * WIDTH] == b[low * WIDTH : high * WIDTH]
