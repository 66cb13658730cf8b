"""Where two texts differ, in time that grows with their lengths alone. Knows no files."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import chain, pairwise

Change = tuple[int, int, int, int]  # lines of the one from, to; and of the other in their place
Lines = Sequence[Hashable]
Pair = tuple[int, int]  # a line of either that is the same
_WORK = 4_000_000  # steps, about a second
_FEWEST, _MOST = 32, 500  # edits that are looked for at once


def changes(a: Lines, b: Lines) -> list[Change]:
    """A shortest edit from `a` to `b`; of long texts with much edited, one that is short enough.

    As git has it, a change that could stand in several places stands in the last.
    """
    early = _up(a, b, _between(_same(a, b), len(a), len(b)))
    late = _up(a[::-1], b[::-1], _turned(early, len(a), len(b)))
    return _turned(late, len(a), len(b))


def _same(a: Lines, b: Lines) -> Iterator[Pair]:
    """Lines that only one has are left out of the search: they match nothing."""
    start, end = _ends(a, b)
    yield from ((n, n) for n in range(start))
    inner_a, inner_b = range(start, len(a) - end), range(start, len(b) - end)
    in_a, in_b = {a[i] for i in inner_a}, {b[j] for j in inner_b}
    left = [i for i in inner_a if a[i] in in_b]
    right = [j for j in inner_b if b[j] in in_a]
    for i, j in _found([a[i] for i in left], [b[j] for j in right]):
        yield left[i], right[j]
    yield from ((len(a) - n, len(b) - n) for n in range(end, 0, -1))


def _ends(a: Lines, b: Lines) -> tuple[int, int]:
    """How many lines both begin with, and how many of the rest both end with."""
    start, limit = 0, min(len(a), len(b))
    while start < limit and a[start] == b[start]:
        start += 1
    end = 0
    while end < limit - start and a[-1 - end] == b[-1 - end]:
        end += 1
    return start, end


def _found(a: Lines, b: Lines) -> list[Pair]:
    whole, at = _way(a, b, (0, 0))
    if at == (len(a), len(b)):
        return whole
    pairs: list[Pair] = []
    for (i, j), (end_i, end_j) in pairwise([(-1, -1), *_anchors(a, b), (len(a), len(b))]):
        here_a, here_b = a[i + 1 : end_i], b[j + 1 : end_j]
        pairs += [(i + 1 + x, j + 1 + y) for x, y in _stretch(here_a, here_b)]
        pairs += [(end_i, end_j)] * (end_i < len(a))
    return pairs


def _stretch(a: Lines, b: Lines) -> list[Pair]:
    """From where one search gave up the next begins."""
    pairs: list[Pair] = []
    at = 0, 0
    while at[0] < len(a) and at[1] < len(b):
        found, at = _way(a, b, at)
        pairs += found
    return pairs


def _way(a: Lines, b: Lines, start: Pair) -> tuple[list[Pair], Pair]:
    """Myers, "An O(ND) Difference Algorithm" (1986): as far as the edits allowed lead, to where."""
    most = min(_MOST, max(_FEWEST, _WORK // (len(a) + len(b) + 1)))
    shift = start[0] - start[1]
    furthest = [0] * (2 * most + 3)  # by diagonal: lines of `a` done; negative ones from the end
    furthest[1] = start[0]
    past: list[list[int]] = []
    for edits in range(most + 1):
        past.append(furthest[:])
        for k in range(-edits, edits + 1, 2):
            i = _entered(furthest, edits, k)[0]
            j = i - k - shift
            while i < len(a) and j < len(b) and a[i] == b[j]:
                i, j = i + 1, j + 1
            furthest[k] = i
            if i >= len(a) and j >= len(b):
                return _walked(past, shift, k, i), (len(a), len(b))
    inside = (k for k in range(-most, most + 1, 2) if furthest[k] <= len(a))
    inside = (k for k in inside if furthest[k] - k - shift <= len(b))
    best = max(inside, key=lambda k: 2 * furthest[k] - k)
    i = furthest[best]
    return _walked(past, shift, best, i), (i, i - best - shift)


def _entered(furthest: Sequence[int], edits: int, k: int) -> tuple[int, int]:
    """Where the best way with one edit less comes onto diagonal `k`, and from which."""
    if k == -edits or (k != edits and furthest[k - 1] < furthest[k + 1]):
        return furthest[k + 1], k + 1
    return furthest[k - 1] + 1, k - 1


def _walked(past: Sequence[Sequence[int]], shift: int, k: int, i: int) -> list[Pair]:
    pairs: list[Pair] = []
    for edits in reversed(range(len(past))):
        entered, came_from = _entered(past[edits], edits, k)
        pairs += [(at, at - k - shift) for at in range(i - 1, entered - 1, -1)]
        k, i = came_from, past[edits][came_from]
    return pairs[::-1]


def _anchors(a: Lines, b: Lines) -> list[Pair]:
    """Of the lines that either has once, the most that stand in one order in both."""
    times_a, times_b = Counter(a), Counter(b)
    places = {line: j for j, line in enumerate(b) if times_b[line] == 1}
    pairs = [(i, places[line]) for i, line in enumerate(a) if times_a[line] == 1 and line in places]
    lows: list[int] = []  # by length: of all rows that long, the lowest last place
    last: list[int] = []  # and the pair there
    before: list[int] = []  # by pair: the one it follows
    for n, (_, j) in enumerate(pairs):
        length = bisect_left(lows, j)
        before.append(last[length - 1] if length else -1)
        lows[length : length + 1], last[length : length + 1] = [j], [n]
    row: list[Pair] = []
    n = last[-1] if last else -1
    while n >= 0:
        row.append(pairs[n])
        n = before[n]
    return row[::-1]


def _between(same: Iterable[Pair], end_a: int, end_b: int) -> Iterator[Change]:
    i = j = 0
    for x, y in chain(same, [(end_a, end_b)]):
        if (i, j) != (x, y):
            yield i, x, j, y
        i, j = x + 1, y + 1


def _up(a: Lines, b: Lines, found: Iterable[Change]) -> list[Change]:
    """Each as early as it can stand; those that meet become one."""
    done: list[Change] = []
    for i, end_i, j, end_j in found:
        while True:
            above = done[-1][1] if done else 0
            while i > above and a[end_i - 1] == b[end_j - 1]:
                i, end_i, j, end_j = i - 1, end_i - 1, j - 1, end_j - 1
            if i > above or not done:
                break
            i, _, j, _ = done.pop()
        done.append((i, end_i, j, end_j))
    return done


def _turned(found: Iterable[Change], a: int, b: int) -> list[Change]:
    """The same in texts of `a` and `b` lines that stand upside down."""
    return [(a - end_i, a - i, b - end_j, b - j) for i, end_i, j, end_j in found][::-1]
