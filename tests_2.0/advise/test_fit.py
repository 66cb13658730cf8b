"""The formulas of a recommendation, and which models fit together."""

from dataclasses import replace
from math import log

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlxk.advise import score
from mlxk.advise.catalog import Benchmark, Catalog, load
from mlxk.advise.fit import Question, recommend
from mlxk.advise.measured import measured, save
from mlxk.advise.memory import Cache, estimate, kv_bytes, weights_gb
from mlxk.advise.profile import profile_of
from mlxk.system.accelerator import Machine

MAX = profile_of(Machine("metal", "Apple M4 Max", 40, (), 128 << 30))
PRO = profile_of(Machine("metal", "Apple M4 Pro", 20, (), 48 << 30))
ENTRY = load().find("qwen3-4b-instruct-2507")


def ask(profile=MAX, budget=50.0, intent="balanced", quant="int4", saved=None):
    return Question(profile, budget, intent, quant, saved or {})


def entry(name, tps, memory, quality=50.0, tools=False, architecture="transformer", **more):
    return replace(
        ENTRY,
        id=name,
        architecture=architecture,
        capabilities=replace(ENTRY.capabilities, tool_calling=tools),
        quality=replace(ENTRY.quality, overall=quality),
        benchmarks={"m4-max-128": Benchmark(None, tps, memory)},
        **more,
    )


def recommended(*entries, **question):
    return recommend(Catalog(entries, ()), ask(**question))


def test_speed_is_logarithmic_and_saturates():
    assert score.speed(0) == 0
    assert score.speed(20) == pytest.approx(log(21) / log(201))
    assert score.speed(200) == score.speed(5000) == 1


def test_a_score_is_the_weighted_sum():
    known = score.Figures(200, 10, is_estimated=False)
    one = entry("a", 200, 10, quality=80, tools=True)
    assert score.score(one, known, 50, "balanced") == pytest.approx(
        0.25 * 1 + 0.40 * 0.8 + 0.15 + 0.20 * 0.8
    )
    assert score.score(one, known, 50, "agent-fleet") == pytest.approx(
        0.30 * 1 + 0.20 * 0.8 + 0.35 + 0.15 * 0.8
    )


def test_weights_of_an_intent_sum_to_one():
    for weights in score.INTENTS.values():
        total = weights.speed + weights.quality + weights.tool_calling + weights.memory
        assert total == pytest.approx(1)


def test_figures_of_this_very_profile_are_no_estimate():
    known = score.figures(ENTRY, "int4", MAX)
    assert (known.gen_tps, known.memory_gb, known.is_estimated) == (134.52, 3.35, False)


def test_throughput_goes_with_bandwidth_and_memory_stays():
    known = score.figures(ENTRY, "int4", PRO)
    assert known.gen_tps == pytest.approx(134.52 * 273 / 546)
    assert (known.memory_gb, known.is_estimated) == (3.35, True)


def test_a_saved_benchmark_without_memory_never_replaces_memory():
    known = score.figures(ENTRY, "int4", PRO, Benchmark(None, 99.0, None))
    assert (known.gen_tps, known.memory_gb, known.is_estimated) == (99.0, 3.35, False)
    known = score.figures(ENTRY, "int4", PRO, Benchmark(None, 99.0, 4.0))
    assert known.memory_gb == 4.0


def test_memory_that_nobody_measured_is_estimated_from_the_parameters():
    known = score.figures(load().find("qwen2.5-7b-instruct"), "int4", MAX)
    assert known.memory_gb == pytest.approx(7.62 * 4.5 / 8 * 1.1)
    assert known.is_estimated


def test_wider_weights_are_slower_and_larger():
    narrow, wide = (score.figures(ENTRY, quant, MAX) for quant in ("int4", "int8"))
    assert wide.gen_tps == pytest.approx(narrow.gen_tps * 4.5 / 8.5)
    assert wide.memory_gb == pytest.approx(narrow.memory_gb * 8.5 / 4.5)
    assert wide.is_estimated


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (entry("a", 10, 60), "over_budget"),
        (entry("a", 10, 6, gated=True), "gated"),
        (replace(ENTRY, benchmarks={}), "no_benchmark"),
        (replace(ENTRY, benchmarks={"m1-8": Benchmark(None, 9, 1)}), "no_benchmark"),
    ],
    ids=["large", "gated", "unmeasured", "elsewhere"],
)
def test_what_is_left_out_has_a_reason(one, reason):
    found = recommended(one)
    assert [e.reason for e in found.excluded] == [reason]
    assert found.tiers == found.ranked == ()


def test_tiers_are_the_best_then_the_fastest_then_the_hybrid():
    found = recommended(
        entry("good", 50, 10, quality=90),
        entry("quick", 300, 2, quality=20),
        entry("long", 60, 8, quality=30, architecture="mamba2-hybrid"),
        entry("other", 40, 5, quality=40),
    )
    assert [(t.tier, t.model) for t in found.tiers] == [
        ("standard", "good"),
        ("fast", "quick"),
        ("longctx", "long"),
    ]
    assert found.total_memory_gb == 20


def test_a_tier_that_pushes_the_sum_over_the_budget_is_reported():
    found = recommended(entry("good", 50, 8, quality=90), entry("quick", 300, 4), budget=10)
    assert [t.tier for t in found.tiers] == ["standard"]
    assert [(u.tier, u.model) for u in found.unfit] == [("fast", "quick")]


def test_long_context_needs_sixteen_gigabytes():
    parts = (entry("a", 50, 2), entry("b", 60, 2), entry("c", 1, 2, architecture="mamba2-hybrid"))
    assert len(recommended(*parts, budget=15.9).tiers) == 2
    assert len(recommended(*parts, budget=16).tiers) == 3


def test_equal_scores_are_in_order_of_ids():
    found = recommended(entry("b", 50, 2), entry("a", 50, 2))
    assert [r.model for r in found.ranked] == ["a", "b"]


@example([(1.0, 1.1875, False, 0.0)], 1.1875)
@given(
    st.lists(
        st.tuples(st.floats(1, 500), st.floats(0.1, 80), st.booleans(), st.floats(0, 100)),
        max_size=12,
    ),
    st.floats(1, 100),
)
def test_tiers_always_fit_together_and_are_different(rows, budget):
    parts = [
        entry(f"m{i}", tps, memory, quality, architecture="mamba2-hybrid" if hybrid else "x")
        for i, (tps, memory, hybrid, quality) in enumerate(rows)
    ]
    found = recommended(*parts, budget=budget)
    assert found.total_memory_gb <= budget + 0.05
    assert len({t.model for t in found.tiers}) == len(found.tiers)
    assert len(found.ranked) + len(found.excluded) == len(parts)
    assert not found.ranked or found.tiers[0].model == found.ranked[0].model


def test_a_cache_is_keys_and_values_of_every_layer():
    cache = Cache(layers=32, kv_heads=8, head_dim=128, tokens=8192)
    assert kv_bytes(cache) == 2 * 32 * 8 * 128 * 8192 * 2
    eight = replace(cache, bits=8, group_size=64)
    assert kv_bytes(eight) == kv_bytes(cache) * 8.5 / 16


def test_an_estimate_is_weights_and_cache_and_a_tenth():
    cache = Cache(layers=10, kv_heads=1, head_dim=100, tokens=1000)
    found = estimate(1e9, cache)
    assert (found.weights_gb, found.kv_gb, found.total_gb) == (1.0, 0.004, 1.104)
    assert estimate(1e9, None).total_gb == 1.1


def test_weights_by_parameters():
    assert weights_gb(8, "int4") == 4.5
    assert weights_gb(8, "bf16") == 16


def test_a_benchmark_of_a_repository_speaks_for_that_quantisation_alone():
    int4, int8 = (ENTRY.sources[quant].hf_repo for quant in ("int4", "int8"))
    saved = {int8: Benchmark(None, 7.0, 3.0), ENTRY.id: Benchmark(None, 9.0, 3.0)}
    by_quant = {
        quant: recommend(Catalog((ENTRY,), ()), ask(quant=quant, saved=saved)).ranked[0].gen_tps
        for quant in ("int4", "int8")
    }
    assert by_quant == {"int4": 9.0, "int8": 7.0}
    assert recommended(ENTRY, saved={int4: Benchmark(None, 8.0, 3.0)}).ranked[0].gen_tps == 8.0


def test_saving_keeps_other_models_and_memory_that_was_measured_before(tmp_path):
    save(tmp_path, "m4-max-128", "org/a", Benchmark(100.0, 10.0, 4.0, "first"))
    save(tmp_path, "m4-max-128", "org/b", Benchmark(None, 20.0, None))
    save(tmp_path, "m4-max-128", "org/a", Benchmark(200.0, 11.0, None, "second"))
    assert measured(tmp_path, "m4-max-128") == {
        "org/a": Benchmark(200.0, 11.0, 4.0, "second"),
        "org/b": Benchmark(None, 20.0, None),
    }
    assert measured(tmp_path, "m4-pro-48") == {}
