"""What models of one server are reckoned to need, and which of them are loaded at once."""

import shutil

import pytest

from mlxk.advise.memory import estimate
from mlxk.cli.residents import Wanted, residents
from mlxk.contract.notes import collecting
from mlxk.deploy import weigh
from mlxk.engine.options import EngineOptions
from mlxk.hub import builtin, names


@pytest.fixture
def two(home, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(builtin.folder("builtin:tiny"), copy)
    return ("builtin:tiny", str(copy))


@pytest.fixture
def reckoned():
    """Bytes of weights and of a conversation of so many tokens, a tenth more."""
    found = weigh.measured(names.resolve("builtin:tiny"))

    def total(context=None, bits=None):
        cache = weigh.cache_of(found.metadata, context, bits)
        return int(estimate(found.weight_bytes, cache).total_gb * 1e9)

    return total


def needs(given, budget, **limits):
    lodgers, first = residents(Wanted(given, EngineOptions(**limits), None, budget / 1e9))
    return [each.needed_bytes for each in lodgers], len(first)


async def test_a_conversation_counts_beside_the_weights(two, reckoned):
    whole, short, small = reckoned(), reckoned(64), reckoned(None, 4)
    assert short < small < whole
    plenty = 2 * whole
    assert needs(two, plenty) == ([whole, whole], 2)
    assert needs(two, plenty, context=64) == ([short, short], 2)
    assert needs(two, plenty, kv_bits=4) == ([small, small], 2)
    assert needs(two, plenty - 1) == ([whole, whole], 1)


async def test_a_draft_model_counts_with_each(two, reckoned):
    weights = weigh.measured(names.resolve("builtin:tiny")).weight_bytes
    whole, bare = reckoned(), int(estimate(weights, None).total_gb * 1e9)
    (first, second), _ = needs(two, 9 * whole, draft=names.resolve("builtin:tiny").folder)
    assert first == second
    assert first - whole == pytest.approx(bare, rel=0.01)


async def test_a_conversation_that_is_too_long_has_all_there_is(two, reckoned):
    budget = reckoned() - 1
    with collecting() as notes:
        assert needs(two, budget) == ([budget, budget], 1)
    assert {note.code for note in notes} == {"alone_in_memory"}
    assert "--context" in notes[0].message


async def test_weights_that_are_too_large_are_too_large(two):
    (first, _), loaded = needs(two, 1_000_000)
    assert first > 1_000_000
    assert loaded == 0


async def test_one_alone_is_weighed_where_a_budget_was_named(home):
    lodgers, first = residents(Wanted(("builtin:tiny",), EngineOptions(), None, None))
    assert ([each.needed_bytes for each in lodgers], len(first)) == ([0], 1)
    with collecting() as notes:
        (needed,), _ = needs(("builtin:tiny",), 1000)
    assert needed > 1000
    assert not notes
