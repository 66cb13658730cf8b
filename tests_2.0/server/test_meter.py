"""What the log says of one answer's speed."""

import pytest

from mlxk.chat.types import Finish, TextDelta, Usage
from mlxk.server.metrics import Meter, Metrics


@pytest.mark.parametrize(
    ("made_s", "speed"), [(2.0, 50.0), (0.00007, None)], ids=["made one by one", "seen at once"]
)
def test_tokens_that_were_seen_at_once_have_no_speed(made_s, speed):
    clock = iter(range(10))
    meter = Meter(Metrics(dict), "m", lambda: next(clock))
    meter.feed(TextDelta("a"))
    meter.feed(Finish("stop", Usage(5, 101), None, made_s))
    assert meter.tokens_per_second == speed
