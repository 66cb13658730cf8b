"""How rows of different lengths are put into parts."""

import pytest

from mlxk.engine.parts import padded


@pytest.mark.parametrize(
    ("lengths", "slack", "parts"),
    [
        ([], 0, []),
        ([7], None, [(1, 7)]),
        ([40, 2000, 40], None, [(3, 2000)]),
        ([40, 2000, 40], 500, [(2, 40), (1, 2000)]),
        ([40, 2000, 40], 4000, [(3, 2000)]),
        ([40, 45, 60, 2000], 100, [(3, 60), (1, 2000)]),
        ([1, 100, 1000, 10000, 50], 0, [(3, 100), (1, 1000), (1, 10000)]),
    ],
    ids=["none", "one", "cannot", "worth it", "not worth it", "neighbours", "three at most"],
)
def test_padding_is_cut_where_it_is_worth_another_pass(lengths, slack, parts):
    assert padded(lengths, slack) == parts
