"""Durations as people write them."""

from math import inf

import pytest

from mlxk.contract.errors import InvalidValue
from mlxk.system.clock import seconds


@pytest.mark.parametrize(
    ("text", "meant"),
    [("5m", 300), ("1h30m", 5400), ("90", 90), (90, 90), (0, 0), ("0", 0), ("1.5s", 1.5),
     ("250ms", 0.25), (-1, inf), ("-1", inf), ("-1m", inf), (-0.5, inf), ("876000h", inf),
     ("999999999999h", inf)],
)  # fmt: skip
def test_ollamas_grammar(text, meant):
    assert seconds(text) == pytest.approx(meant)


@pytest.mark.parametrize("text", ["", "soon", "5 minutes", "m5", "5d", "1h-3m", "-", "1e9h", "²"])
def test_anything_else_is_refused(text):
    with pytest.raises(InvalidValue):
        seconds(text)
