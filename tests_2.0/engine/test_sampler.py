"""A batch samples each row by its own policy, and as if the row were alone."""

import mlx.core as mx
import pytest

from mlxk.engine.dice import uniforms
from mlxk.engine.policy import Policy
from mlxk.engine.sampler import Draw, Sampler

V = 50


@pytest.fixture
def logits():
    return mx.random.normal((4, V), key=mx.random.key(1)) * 2


def sampled(policies, logits, positions=None, made=(), prompt=()):
    rows = len(policies)
    draws = [Draw(policy, prompt, made) for policy in policies]
    inputs = mx.zeros((rows,), mx.int32)
    return Sampler(draws, V)(
        logits[:rows], inputs, positions or [0] * rows, [False] * rows
    ).tolist()


def test_greedy_takes_the_best(logits):
    assert sampled([Policy()] * 4, logits) == mx.argmax(logits, axis=-1).tolist()


WARM = [
    Policy(temperature=0.9, seed=1),
    Policy(temperature=0.7, top_p=0.8, seed=2),
    Policy(temperature=1.3, top_k=5, min_p=0.05, seed=3),
    Policy(),
]


def test_a_row_draws_the_same_alone_as_in_a_batch(logits):
    together = sampled(WARM, logits, [3, 4, 5, 6])
    alone = [
        sampled([policy], logits[row : row + 1], [3 + row])[0] for row, policy in enumerate(WARM)
    ]
    assert together == alone


def test_top_k_one_is_greedy(logits):
    assert sampled([Policy(temperature=2.0, top_k=1)] * 4, logits) == sampled(
        [Policy()] * 4, logits
    )


@pytest.mark.parametrize(
    "policy",
    [
        Policy(temperature=1e-45),
        Policy(temperature=1e-6, top_p=0.5),
        Policy(temperature=1.0, top_p=0.0),
        Policy(temperature=1.0, top_p=1e-300),
        Policy(temperature=1.0, min_p=1.0),
        Policy(temperature=100.0, top_k=1),
    ],
    ids=str,
)
def test_the_extremes_of_every_field_are_greedy(logits, policy):
    assert sampled([policy] * 4, logits) == sampled([Policy()] * 4, logits)


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (Policy(temperature=1.0, top_k=3), 3),
        (Policy(temperature=1.0, top_p=0.6), 2),
        (Policy(temperature=1.0, min_p=0.5), 2),
    ],
    ids=["top_k", "top_p", "min_p"],
)
def test_truncation_leaves_the_right_tokens(policy, allowed):
    logits = mx.log(mx.array([[0.4, 0.3, 0.15, 0.1, 0.05] + [1e-9] * (V - 5)]))
    seen = {sampled([policy], logits, [at])[0] for at in range(200)}
    assert seen == set(range(allowed))


def test_draws_follow_the_distribution():
    shares = [0.5, 0.3, 0.2]
    logits = mx.log(mx.array([shares + [1e-9] * (V - 3)]))
    draws = [sampled([Policy(temperature=1.0, seed=9)], logits, [at])[0] for at in range(1000)]
    for token, share in enumerate(shares):
        assert abs(draws.count(token) / 1000 - share) < 0.05


def test_bias_and_penalties_move_the_choice():
    logits = mx.array([[3.0, 2.9, 2.0] + [0.0] * (V - 3)])
    assert sampled([Policy(bias=((0, -100.0),))], logits) == [1]
    assert sampled([Policy(frequency=0.2)], logits, made=(0,)) == [1]
    assert sampled([Policy(presence=0.2)], logits, made=(0,)) == [1]
    assert sampled([Policy(repetition=1.1)], logits, prompt=(0,)) == [1]
    assert sampled([Policy(presence=0.2)], logits, prompt=(0,)) == [0]


def test_tokens_that_were_not_read_yet_are_counted():
    logits = mx.array([[3.0, 2.9] + [0.0] * (V - 2)])
    sampler = Sampler([Draw(Policy(frequency=0.2), (), ())], V)
    assert sampler(logits, mx.array([0]), [1], [True]).tolist() == [1]


def test_the_extremes_of_a_draw_have_a_token():
    logits = mx.zeros((1, V))
    policy = Policy(temperature=1.0, top_k=7, seed=0)
    numbers = uniforms([0] * 2000, range(2000))[:, 0]
    for at in (int(numbers.argmin()), int(numbers.argmax())):
        assert 0 <= sampled([policy], logits, [at])[0] < V
