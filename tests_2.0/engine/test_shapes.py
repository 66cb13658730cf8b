"""Lengths of passes where every new shape is dear."""

from hypothesis import given
from hypothesis import strategies as st

from mlxk.engine import shapes


@given(st.integers(0, 5000), st.integers(1, 5000), st.sampled_from([256, 512, 2048]))
def test_a_prompt_is_read_to_its_end_in_shapes_that_come_again(start, unread, most):
    known = set(shapes.lengths(most))
    widths, at, left = [], start, unread
    while left:
        count, width = shapes.chunk(at, left, most)
        assert 0 < count <= width
        assert width in known
        assert width <= shapes.GRID or at % shapes.GRID == 0
        widths.append(width)
        at, left = at + count, left - count
    # At most one short pass to the grid, and full ones.
    assert len(widths) <= 2 + unread // (most - shapes.GRID + 1)


def test_there_are_few():
    assert shapes.lengths(1024) == [32, 64, 128, 256, 512, 768, 1024]
