"""How long a pass over a prompt is where every new shape is dear: few lengths that come again.

CUDA prepares products and attention for each shape that it meets: 20 to 100 ms. Knows no device.
"""

GRID = 256
_LEAST = 32


def chunk(start: int, unread: int, most: int) -> tuple[int, int]:
    """How many tokens to read after the first `start`, and the length of the pass that does it.

    Passes longer than `GRID` begin at its multiples, and so do those that follow them.
    """
    count = min(unread, most)
    if count > GRID and start % GRID:
        count = GRID - start % GRID
    elif GRID < count < unread:
        count -= count % GRID
    return count, padded(count)


def padded(count: int) -> int:
    if count > GRID:
        return -(-count // GRID) * GRID
    return max(_LEAST, 1 << (count - 1).bit_length())


def rows(count: int) -> int:
    """The largest power of two that is not more."""
    return 1 << count.bit_length() >> 1


def lengths(most: int) -> list[int]:
    """All passes of up to `most` tokens that are not empty."""
    return sorted({padded(count) for count in range(1, most + 1)})
