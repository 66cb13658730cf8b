"""Numbers depend on a row's seed and position alone."""

import numpy as np

from mlxk.engine.dice import uniforms


def test_numbers_are_repeatable_and_spread():
    numbers = uniforms([42] * 10_000, range(10_000))
    assert (numbers == uniforms([42] * 10_000, range(10_000))).all()
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert 0.49 < numbers.mean() < 0.51


def test_a_row_does_not_see_the_others():
    together = uniforms([1, (1 << 64) - 1, 7], [5, 0, 1 << 40], 9)
    assert (together[1] == uniforms([(1 << 64) - 1], [0], 9)[0]).all()


def test_fewer_numbers_are_the_first_of_more():
    assert (uniforms([3], [4], 2) == uniforms([3], [4], 60)[:, :2]).all()


def test_the_numbers_of_one_place_are_those_of_no_other():
    numbers = uniforms([9] * 500, range(500), 15)
    flat = numbers.flatten()
    assert len(np.unique(flat)) > 0.99 * flat.size
    assert abs(np.corrcoef(numbers.T) - np.eye(15)).max() < 0.25
