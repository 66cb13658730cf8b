"""Passes over prompts where every new shape is dear."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.engine import shapes


@given(st.integers(0, 5000), st.integers(1, 5000), st.sampled_from([64, 256, 512, 2048]))
def test_a_prompt_is_read_to_its_end_between_multiples(start, unread, most):
    at, left, passes = start, unread, 0
    while left:
        count = shapes.chunk(at, left, most)
        again, width = shapes.around(at, count)
        assert (at - again) % shapes.GRID == 0
        assert width % shapes.GRID == 0
        assert 0 <= again < shapes.GRID
        assert 0 < count <= width - again < count + shapes.GRID
        # Padding only at the end of the prompt.
        assert count == left or width == again + count
        at, left, passes = at + count, left - count, passes + 1
    assert passes <= 1 + (unread + shapes.GRID) // max(most // shapes.GRID * shapes.GRID, 512)


@pytest.mark.parametrize(
    ("count", "longest", "found"),
    [
        (2, 5, (2, 32)),
        (3, 33, (2, 64)),
        (31, 64, (16, 64)),
        (40, 200, (16, 256)),
        (4, 300, (4, 512)),
    ],
)
def test_those_who_are_read_together_are_powers_of_two(count, longest, found):
    assert shapes.together(count, longest) == found


def test_there_are_few():
    assert shapes.ordinary(512) == [
        (1, 0, 256), (1, 256, 1), (1, 256, 256), (1, 0, 512), (1, 512, 1), (1, 512, 256),
        (2, 0, 32), (2, 0, 64), (2, 0, 128), (2, 0, 256),
        (4, 0, 32), (4, 0, 64), (4, 0, 128), (8, 0, 32), (8, 0, 64), (16, 0, 32),
    ]  # fmt: skip
