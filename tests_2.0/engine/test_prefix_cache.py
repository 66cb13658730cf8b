"""The longest prefix is found among many kept prompts, however many there are."""

import random
import time

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx_lm.models.cache import ArraysCache, KVCache

from mlxk.engine.packing import common, packed
from mlxk.engine.prefix_cache import PrefixCache

# Few different tokens: most sequences begin like another one.
PROMPTS = st.lists(st.integers(0, 1), max_size=60)


def plain(length):
    cache = KVCache()
    cache.keys = cache.values = mx.zeros((1, 1, length, 1), mx.uint8)
    cache.offset = length
    return [cache]


def state(_length):
    """Of a layer that cannot go back."""
    cache = ArraysCache(1)
    cache[0] = mx.zeros((1,), mx.uint8)
    return [cache]


def shared(a, b):
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


@given(PROMPTS, PROMPTS)
def test_what_two_sequences_share_is_counted(a, b):
    head = [7] * 1000
    assert common(packed(a), packed(b)) == shared(a, b)
    assert common(packed(head + a), packed(head + b)) == 1000 + shared(a, b)


@given(st.lists(PROMPTS, max_size=12), PROMPTS)
def test_the_longest_prefix_is_found(prompts, asked):
    kept = PrefixCache(1 << 20)
    for prompt in prompts:
        kept.store(prompt, plain(len(prompt)))
    long = [shared(prompt, asked) for prompt in prompts]
    best = max((length for length in long if length >= 8), default=0)
    length, caches = kept.fetch(packed(asked))
    assert length == best
    assert (caches[0].offset if caches else 0) == best


@given(st.lists(PROMPTS, max_size=12), PROMPTS)
def test_a_state_is_found_at_its_own_length(prompts, asked):
    kept = PrefixCache(1 << 20)
    for prompt in prompts:
        kept.store(prompt, state(len(prompt)))
    whole = [len(prompt) for prompt in prompts if asked[: len(prompt)] == prompt]
    assert kept.fetch(packed(asked))[0] == max((n for n in whole if n >= 8), default=0)


def test_what_does_not_fit_leaves_the_oldest_first():
    kept = PrefixCache(250)
    prompts = [[n, *range(50)] for n in range(3)]
    for prompt in prompts[:2]:
        kept.store(prompt, plain(51))
    kept.fetch(packed(prompts[0]))
    kept.store(prompts[2], plain(51))
    assert [kept.fetch(packed(prompt))[0] for prompt in prompts] == [51, 0, 51]
    kept.clear()
    assert kept.fetch(packed(prompts[0])) == (0, None)


@pytest.mark.parametrize("alike", [0, 2000])
def test_a_thousand_kept_prompts_cost_little_more_than_ten(alike):
    dice = random.Random(1)
    head = [dice.randrange(30_000) for _ in range(alike)]
    tail = [dice.randrange(30_000) for _ in range(4000 - alike)]

    def seconds(count):
        kept = PrefixCache(1 << 40)
        for n in range(count):
            kept.store([*head, n, *tail], plain(4001))
        asked = packed([*head, count // 2, *tail[:-50], 1, 2, 3])
        return min(timed(kept, asked) for _ in range(5))

    assert seconds(1000) < 10 * seconds(10)


def timed(kept, asked):
    began = time.process_time()
    for _ in range(10):
        assert kept.fetch(asked)[0] > 3900
    return time.process_time() - began
