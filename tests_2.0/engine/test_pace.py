"""How much of the prompts is read between two steps."""

import pytest

from mlxk.engine.pace import Pace


@pytest.fixture
def pace():
    """A step takes 10 ms, a token of a prompt 0.1 ms more."""
    pace = Pace(512)
    pace.note(0.010, 0)
    for _ in range(20):
        pace.note(0.010 + 0.0128, 128)
    pace.note(0.010, 0)
    return pace


def test_before_anything_is_known_little_is_read():
    assert Pace(512).share(waiting=1, answering=1) == 64
    assert Pace(512).share(waiting=9, answering=0) == 512


def test_those_who_answer_hardly_pause(pace):
    assert pace.share(waiting=1, answering=8) == pytest.approx(300, rel=0.02)


def test_the_more_wait_the_longer_they_may(pace):
    assert pace.share(waiting=24, answering=8) == pytest.approx(900, rel=0.02)
    assert pace.share(waiting=4, answering=8) == pace.share(waiting=1, answering=8)


def test_nobody_pauses_longer_than_half_a_second(pace):
    assert pace.share(waiting=1000, answering=1) == pytest.approx(5000, rel=0.02)


def test_nobody_answers_for_half_a_second(pace):
    assert pace.share(waiting=3, answering=0) == pytest.approx(5000, rel=0.02)


def test_what_was_read_is_paid_for_in_the_step_after_it():
    """The device is still busy when the first of the two ends."""
    pace = Pace(4096)
    pace.note(0.010, 0)
    for _ in range(5):
        pace.note(0.010, 300)
        pace.note(0.040, 0)
    assert pace.share(waiting=1, answering=8) == pytest.approx(300, rel=0.02)


def test_few_dear_tokens_do_not_make_many_dear(pace):
    before = pace.share(waiting=1, answering=0)
    pace.note(0.030, 8)
    pace.note(0.010, 0)
    assert pace.share(waiting=1, answering=0) > before * 0.6
