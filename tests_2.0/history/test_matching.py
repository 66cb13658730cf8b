"""Where two texts differ, whatever they are."""

import random
import time

from hypothesis import given
from hypothesis import strategies as st

from mlxk.history import matching, merge

TEXTS = st.lists(st.sampled_from("ab{}")) | st.lists(st.integers(0, 50))


def applied(a, b, changes):
    """`a` with the changes made; each must be apart from the one before."""
    result, at = [], 0
    for number, (i, end_i, j, end_j) in enumerate(changes):
        assert i > at or not number
        result += a[at:i] + b[j:end_j]
        at = end_i
    return result + a[at:]


@given(TEXTS, TEXTS)
def test_the_changes_make_the_one_of_the_other(a, b):
    assert applied(a, b, matching.changes(a, b)) == b


def test_so_they_do_when_there_are_too_many_to_find_the_fewest():
    chance = random.Random(1)
    for kinds in (2, 50, 3000):
        a, b = ([chance.randrange(kinds) for _ in range(3000)] for _ in range(2))
        assert applied(a, b, matching.changes(a, b)) == b


def test_a_block_moved_in_a_long_text_costs_no_more_than_the_block():
    lines = [n if n % 3 else "}" for n in range(6000)]
    moved = lines[2000:] + lines[:2000]
    found = matching.changes(lines, moved)
    assert applied(lines, moved, found) == moved
    assert sum(end_j - j for _, _, j, end_j in found) < 2100


def test_a_change_that_could_stand_in_several_places_is_one_and_the_last():
    text = ["f", "", "g"]
    assert matching.changes(text, ["f", "new", "", "", "g"]) == [(1, 1, 1, 3)]
    assert matching.changes(["x"] * 9, ["x"] * 12) == [(9, 9, 9, 12)]


def test_long_texts_of_equal_lines_are_merged_at_once():
    base = [b"x\n"] * 20_000
    ours, theirs, both = base.copy(), base.copy(), base.copy()
    for at, side in ((2000, ours), (5000, ours), (10_000, theirs), (15_000, theirs)):
        side[at] = both[at] = b"%d\n" % at
    begun = time.monotonic()
    assert merge.text(*map(b"".join, (base, ours, theirs))) == b"".join(both)
    assert time.monotonic() - begun < 5
