"""Passes over prompts where every new shape is dear: few shapes, which come again.

CUDA plans products and attention for each shape that it meets, for 50 to 100 ms, while a pass over
256 tokens takes hardly longer than one over a single token. Knows no device.
"""

GRID = 256
_LEAST = 32
TOGETHER = 16


def chunk(start: int, unread: int, most: int) -> int:
    """How many tokens to read after the first `start`: to the end, or to a multiple of `GRID`."""
    room = max(most // GRID, 2) * GRID
    return min(unread, room - start % GRID)


def around(start: int, count: int) -> tuple[int, int]:
    """How many of `start` tokens to read once more before `count` others, and the length of the
    pass. It begins and ends at multiples of `GRID`; what it has too much at its end is padding."""
    again = start % GRID
    return again, -(-(again + count) // GRID) * GRID


def together(count: int, longest: int) -> tuple[int, int]:
    """How many of `count` prompts to read in one pass, and its length."""
    rows = min(1 << count.bit_length() >> 1, TOGETHER)
    if longest > GRID:
        return rows, -(-longest // GRID) * GRID
    return rows, max(_LEAST, 1 << (longest - 1).bit_length())


def ordinary(most: int) -> list[tuple[int, int, int]]:
    """(rows, tokens before it, its length) of passes that most conversations begin with: prompts
    alone and together, what follows them, and the first words of answers."""
    shared = {together(rows, width) for rows in (2, 4, 8, 16) for width in (32, 64, 128, 256)}
    return [
        *(
            (1, before, width)
            for end in range(GRID, most + 1, GRID)
            for before, width in ((0, end), (end, 1), (end, GRID))
        ),
        *((rows, 0, width) for rows, width in sorted(shared) if rows * width <= most),
    ]
