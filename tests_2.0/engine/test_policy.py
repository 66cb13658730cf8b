"""Sampling is checked at the edge; draws depend on seed and position alone."""

import pytest

from mlxk.chat.types import Sampling
from mlxk.contract.errors import InvalidValue
from mlxk.engine.policy import Defaults, policy


def made(**wish):
    return policy(Sampling(**wish), Defaults(temperature=0.6, top_k=20), vocabulary=100, seed=5)


def test_gaps_are_filled_by_the_models_defaults():
    assert (made().temperature, made().top_k, made().seed) == (0.6, 20, 5)


def test_what_is_asked_for_wins():
    asked = made(temperature=0.0, top_k=0, seed=-1)
    assert (asked.temperature, asked.top_k, asked.seed) == (0.0, 0, (1 << 64) - 1)


def test_top_k_is_cut_to_the_vocabulary():
    assert made(top_k=10_000).top_k == 100


@pytest.mark.parametrize(
    "wish",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_p": 1.5},
        {"top_k": -1},
        {"min_p": 2.0},
        {"repetition_penalty": 0.0},
        {"presence_penalty": float("inf")},
        {"logit_bias": ((100, 1.0),)},
        {"logit_bias": ((-1, 1.0),)},
        {"logit_bias": ((1, float("nan")),)},
    ],
    ids=str,
)
def test_nonsense_is_refused(wish):
    with pytest.raises(InvalidValue):
        made(**wish)
