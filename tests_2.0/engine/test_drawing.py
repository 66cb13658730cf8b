"""Whatever the policy, tokens are drawn as a plain reference says, alone and in every batch."""

from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlxk.engine import drawing
from mlxk.engine.dice import uniforms
from mlxk.engine.policy import Policy
from mlxk.engine.sampler import Draw, Sampler

DRAWS = 1500

policies = st.builds(
    Policy,
    temperature=st.sampled_from([0.2, 0.7, 1.0, 2.5]),
    top_p=st.sampled_from([1.0, 0.97, 0.9, 0.8, 0.5, 0.3, 0.1, 0.01, 1e-6]),
    top_k=st.sampled_from([0, 0, 2, 5, 40, 10_000]),
    min_p=st.sampled_from([0.0, 0.0, 0.01, 0.3]),
    seed=st.integers(0, (1 << 64) - 1),
)
shapes = st.tuples(st.sampled_from([3, 50, 259, 1100]), st.sampled_from([0.01, 1.0, 4.0]))


def logits(shape, seed, rows=1, kind=mx.float32):
    vocabulary, spread = shape
    values = mx.random.normal((rows, vocabulary), key=mx.random.key(seed)) * spread
    return (values - 30).astype(kind)


def sampled(chosen, values, positions):
    sampler = Sampler([Draw(policy, (), ()) for policy in chosen], values.shape[-1])
    rows = len(chosen)
    return sampler(values, mx.zeros((rows,), mx.int32), positions, [False] * rows).tolist()


def many(policy, values, count=DRAWS):
    rows = mx.broadcast_to(values, (count, values.shape[-1]))
    return np.array(sampled([policy] * count, rows, list(range(count))))


def shares(policy, values, slack=0.0):
    """The reference: temperature, then top_k, then top_p of what is left, then min_p."""
    heated = np.array(values.astype(mx.float32))[0].astype(np.float64) / policy.temperature
    weights = np.exp(heated - heated.max())
    if policy.top_k:
        weights[weights < np.sort(weights)[::-1][: policy.top_k].min()] = 0
    order = np.argsort(-weights)
    heavier = np.array([weights[weights > weight].sum() for weight in weights[order]])
    outside = order[heavier >= policy.top_p * weights.sum() * (1 + slack)]
    if policy.top_p < 1:
        weights[outside] = 0
    weights[weights < policy.min_p * (1 - slack)] = 0
    return weights / weights.sum()


@settings(max_examples=40, deadline=None)
@given(policy=policies, shape=shapes, seed=st.integers(0, 1 << 30))
def test_draws_follow_the_reference(policy, shape, seed):
    values = logits(shape, seed)
    tokens = many(policy, values)
    least, most = (shares(policy, values, slack) for slack in (-1e-5, 1e-5))
    assert set(tokens) <= set(np.flatnonzero(most))
    if (least == most).all():
        assert surprise(tokens, least) < 6


def surprise(tokens, expected):
    """Standard deviations, about: of the counts of single tokens, and of what is below a token."""
    counts, wanted = np.bincount(tokens, minlength=len(expected)), expected * len(tokens)
    drift = abs(np.cumsum(counts - wanted)).max() / np.sqrt(len(tokens))
    is_rare = wanted < 5
    counts = np.append(counts[~is_rare], counts[is_rare].sum())
    wanted = np.append(wanted[~is_rare], wanted[is_rare].sum())
    freedom = max(len(wanted) - 1, 3)
    deviation = ((counts - wanted) ** 2 / np.maximum(wanted, 1)).sum()
    return max((deviation - freedom) / np.sqrt(2 * freedom), 2 * drift)


@settings(max_examples=40, deadline=None)
@given(
    chosen=st.lists(policies | st.just(Policy()), min_size=2, max_size=9),
    shape=shapes,
    seed=st.integers(0, 1 << 30),
)
def test_a_row_is_drawn_the_same_alone_as_in_a_batch(chosen, shape, seed):
    values = logits(shape, seed, len(chosen), mx.bfloat16)
    places = [7 * row for row in range(len(chosen))]
    alone = [
        sampled([policy], values[row : row + 1], [places[row]])[0]
        for row, policy in enumerate(chosen)
    ]
    assert sampled(chosen, values, places) == alone


@pytest.mark.parametrize(
    "policy",
    [
        Policy(temperature=1.0),
        Policy(temperature=1.0, top_p=0.95),
        Policy(temperature=1.0, top_p=0.2),
        Policy(temperature=1.0, top_k=50),
        Policy(temperature=1.0, top_k=50, top_p=0.9),
        Policy(temperature=1.0, min_p=0.5),
    ],
    ids=str,
)
class TestEveryWay:
    def test_equal_tokens_are_drawn_alike(self, policy):
        values = mx.where(mx.arange(300)[None] < 40, 5.0, -20.0)
        tokens = many(policy, values)
        drawn = np.unique(tokens)
        assert 36 <= len(drawn) <= 40
        assert surprise(tokens, np.bincount(drawn) / len(drawn)) < 6

    def test_what_is_ruled_out_is_never_drawn(self, policy):
        values = mx.full((1, 1000), float("-inf"))
        values[0, 999] = 1.0
        values[0, 130] = 1.0
        assert set(many(policy, values)) == {130, 999}

    def test_the_end_of_the_vocabulary_is_the_end(self, policy):
        """No token is read beyond it, where the next row begins, however little is allowed."""
        values = mx.full((64, 12_321), float("-inf"))
        values[1::2, :40] = 3.0
        values[:, 12_320] = 1.0
        assert sampled([policy] * 64, values, [0] * 64)[::2] == [12_320] * 32

    @pytest.mark.parametrize("nothing", [float("-inf"), float("nan")])
    def test_a_row_of_nothing_has_a_token(self, policy, nothing):
        values = mx.full((3, 12_345), nothing)
        assert all(0 <= token < 12_345 for token in sampled([policy] * 3, values, [0] * 3))

    def test_a_token_that_is_sure_is_drawn(self, policy):
        values = mx.zeros((1, 1000)) - 1000
        values[0, 999] = 0.0
        assert set(many(policy, values)) == {999}

    def test_the_range_of_the_logits_does_not_matter(self, policy):
        values = logits((259, 3.0), 5)
        far = many(policy, values + 8192) == many(policy, values - 8192)
        assert far.mean() > 0.99

    @pytest.mark.parametrize("number", [0.0, 1 - 2.0**-24], ids=["least", "greatest"])
    def test_the_extremes_of_a_number_have_a_token(self, policy, number, monkeypatch):
        def extreme(seeds, positions, count):
            """The first try's column and its place in the column; other tries are left alone."""
            numbers = uniforms(seeds, positions, count)
            numbers[:, :: count // 2] = number
            return numbers

        monkeypatch.setattr(drawing, "uniforms", extreme)
        values = mx.full((64, 1000), float("-inf"))
        values[:, 200:900] = mx.random.normal((64, 700), key=mx.random.key(3)) * 0.1
        for row, token in enumerate(sampled([policy] * 64, values, [0] * 64)):
            assert shares(policy, values[row : row + 1], 1e-5)[token] > 0

    def test_penalties_come_first(self, policy):
        values = mx.zeros((1, 1000))
        hushed = replace(policy, bias=tuple((token, -100.0) for token in range(3, 1000)))
        assert set(many(hushed, values, 50)) == {0, 1, 2}


def test_a_share_of_one_token_is_that_token():
    values = mx.log(mx.array([[0.6, 0.3, 0.1] + [1e-9] * 500]))
    assert set(many(Policy(temperature=1.0, top_p=0.6 - 1e-4), values)) == {0}
    assert set(many(Policy(temperature=1.0, top_p=0.6 + 1e-4), values)) == {0, 1}


def test_top_p_is_a_share_of_what_top_k_left():
    values = mx.log(mx.array([[0.4, 0.3, 0.2] + [0.1 / 500] * 500]))
    assert set(many(Policy(temperature=1.0, top_k=2, top_p=0.5), values)) == {0}
    assert set(many(Policy(temperature=1.0, top_p=0.5), values)) == {0, 1}


@pytest.mark.parametrize("count", [2, 20, 64, 300])
def test_the_best_are_found_wherever_they_are(count):
    values = logits((12_345, 0.1), count)
    tokens = many(Policy(temperature=1.0, top_k=count), values, 12 * count)
    best = np.argsort(-np.array(values)[0])[:count]
    assert set(tokens) <= set(best)
    assert len(set(tokens)) > 0.9 * count


@pytest.mark.parametrize("top_p", [0.02, 0.1, 0.4])
def test_a_thin_slice_of_what_is_nearly_even(top_p):
    values = logits((1000, 1e-3), 8)
    policy = Policy(temperature=1.0, top_p=top_p)
    assert surprise(many(policy, values), shares(policy, values)) < 6


@pytest.mark.parametrize("vocabulary", [5000, 8192])
def test_a_larger_vocabulary_is_drawn_from_as_the_reference_says(vocabulary):
    """Where weights are computed in another way on a CPU."""
    values = logits((vocabulary, 2.0), 7)
    for policy in (Policy(temperature=0.7), Policy(temperature=0.7, top_p=0.9)):
        assert surprise(many(policy, values, 500), shares(policy, values)) < 6


@pytest.mark.parametrize("size", [100, 8192])
def test_weights_are_as_exact_as_their_numbers(size):
    exponents = -mx.arange(size).astype(mx.float32) * (126 / size)
    found = np.array(drawing._power_of_two(exponents[None]), np.float64)
    assert abs(found / 2.0 ** np.array(exponents, np.float64) - 1).max() < 3e-7
    ruled_out = mx.where(mx.arange(size) == 0, 0.0, float("-inf"))
    assert drawing._power_of_two(ruled_out[None]).sum().item() == 1


@pytest.mark.parametrize("top_p", [0.3, 0.05])
def test_a_nucleus_is_hit_even_where_it_is_thin(top_p):
    """Few tries are among the best: later rounds have to find them."""
    values = logits((4000, 1e-2), 9)
    policy = Policy(temperature=1.0, top_p=top_p)
    assert set(many(policy, values, 1000)) <= set(np.flatnonzero(shares(policy, values, 1e-5)))
