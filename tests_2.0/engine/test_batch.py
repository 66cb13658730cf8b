"""On every kind of cache, a sequence in a changing batch says what it says alone."""

import random
from dataclasses import replace

import pytest
from tiny_models import FAMILIES

from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Job, Load
from mlxk.engine.weights import load_runner

WARM = Policy(temperature=0.8, top_p=0.9, seed=11)
HARD = Policy(repetition=1.3, presence=0.5, frequency=0.2)


@pytest.fixture(scope="session")
def runner(tiny_model):
    """`runner("qwen3")`: loaded once, emptied for each test."""
    loaded = {}

    def get(family, kv_bits=None):
        if (family, kv_bits) not in loaded:
            load = Load(str(tiny_model(family)), 8, 16, None, kv_bits, 1 << 24)
            loaded[family, kv_bits] = load_runner(load).runner
        loaded[family, kv_bits].reset()
        return loaded[family, kv_bits]

    return get


@pytest.fixture
def ragged(runner):
    """The same, but no padding is worth while: as many parts as there may be."""

    def get(family):
        device = runner(family)
        wanted = device._forward
        device._forward = device._prompts._forward = replace(wanted, slack=0)
        restore.append((device, wanted))
        return device

    restore = []
    yield get
    for device, wanted in restore:
        device._forward = device._prompts._forward = wanted


def some_jobs(dice, number):
    return [
        Job(
            uid,
            tuple(dice.randrange(3, 259) for _ in range(dice.choice([1, 2, 15, 17, 40, 70]))),
            (),
            dice.choice([1, 6, 30]),
            (2,),
            dice.choice([Policy(), Policy(), WARM, HARD]),
        )
        for uid in range(number)
    ]


def alone(runner, job):
    runner.reset()
    runner.add(job)
    return finish(runner, {job.uid: []})[job.uid]


def finish(runner, tokens, *, arrivals=(), dice=None, leaving=()):
    """Step until all are done; `arrivals` join at random moments, `leaving` go at random ones."""
    arrivals, running = list(arrivals), set(tokens)
    while running or arrivals:
        while arrivals and (not running or dice.random() < 0.3):
            job = arrivals.pop(0)
            running.add(job.uid)
            tokens[job.uid] = []
            runner.add(job)
        for uid in [uid for uid in running if uid in leaving and dice.random() < 0.1]:
            runner.remove(uid)
            running.discard(uid)
        for step in runner.step():
            tokens[step.uid].append(step.token)
            if step.ended:
                running.discard(step.uid)
    return tokens


@pytest.mark.parametrize("family", FAMILIES)
def test_batched_equals_alone(runner, family):
    dice = random.Random(5)
    device = runner(family)
    jobs = some_jobs(dice, 10)
    wanted = {job.uid: alone(device, job) for job in jobs}
    device.reset()
    assert finish(device, {}, arrivals=jobs, dice=dice) == wanted


@pytest.mark.parametrize("family", ["qwen3", "llama", "qwen3_moe"])
def test_a_batch_in_parts_says_what_each_says_alone(ragged, family):
    dice = random.Random(8)
    device = ragged(family)
    assert device._forward.slack == 0
    jobs = some_jobs(dice, 12)
    wanted = {job.uid: alone(device, job) for job in jobs}
    device.reset()
    leaving = {2, 5}
    got = finish(device, {}, arrivals=jobs, dice=dice, leaving=leaving)
    assert {u: t for u, t in got.items() if u not in leaving} == {
        u: t for u, t in wanted.items() if u not in leaving
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_only_plain_caches_are_kept_in_parts(runner, family):
    is_plain = family in ("qwen3", "llama", "qwen3_moe")
    assert (runner(family)._forward.slack is not None) is is_plain


@pytest.mark.parametrize("family", FAMILIES)
def test_those_who_stay_do_not_notice_those_who_leave(runner, family):
    dice = random.Random(6)
    device = runner(family)
    jobs = some_jobs(dice, 10)
    leaving = {1, 4, 5, 8}
    wanted = {job.uid: alone(device, job) for job in jobs}
    device.reset()
    got = finish(device, {}, arrivals=jobs, dice=dice, leaving=leaving)
    assert {u: t for u, t in got.items() if u not in leaving} == {
        u: t for u, t in wanted.items() if u not in leaving
    }
    assert all(tokens == wanted[uid][: len(tokens)] for uid, tokens in got.items())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("policy", [Policy(), WARM, HARD], ids=["greedy", "warm", "penalised"])
def test_a_resumed_sequence_goes_on_as_before(runner, family, policy):
    device = runner(family)
    prompt = tuple(random.Random(7).randrange(3, 259) for _ in range(33))
    whole = alone(device, Job(1, prompt, (), 20, (), policy))
    rest = alone(device, Job(1, prompt, tuple(whole[:9]), 20, (), policy))
    assert rest == whole[9:]


def test_a_stop_token_ends_a_sequence_and_is_reported(runner):
    device = runner("qwen3")
    prompt = (5, 6, 7)
    whole = alone(device, Job(1, prompt, (), 10, (), Policy()))
    cut = alone(device, Job(1, prompt, (), 10, (whole[3],), Policy()))
    assert cut == whole[: whole.index(whole[3]) + 1]


def test_decoding_goes_on_while_a_long_prompt_is_read(runner):
    device = runner("qwen3")
    device.add(Job(1, (5, 6), (), 200, (), Policy()))
    for _ in range(4):
        device.step()
    device.add(Job(2, tuple(range(3, 203)), (), 1, (), Policy()))
    spoken = [[step.uid for step in device.step()] for _ in range(10)]
    assert all(1 in uids for uids in spoken)


def said_and_cached(runner, prompt, count=12):
    runner.add(Job(1, tuple(prompt), (), count, (), Policy()))
    steps = []
    while not (steps and steps[-1].ended):
        steps += runner.step()
    return [step.token for step in steps], steps[0].cached


SLICEABLE = ["qwen3", "llama", "qwen3_moe"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_kept_prefix_changes_nothing_but_the_work(runner, family):
    device = runner(family)
    first = [random.Random(8).randrange(3, 259) for _ in range(50)]
    answer, _ = said_and_cached(device, first)
    longer = [*first, *answer, 9, 8, 7]
    fresh = [finish_alone(device, prompt) for prompt in (first, longer, [*first[:30], 5, 6, 7])]
    device.reset()
    said_and_cached(device, first)
    again, longer_again, forked = (
        said_and_cached(device, prompt) for prompt in (first, longer, [*first[:30], 5, 6, 7])
    )
    assert [again[0], longer_again[0], forked[0]] == fresh
    assert again[1] == 49
    assert longer_again[1] >= 61
    assert forked[1] == (30 if family in SLICEABLE else 0)


def finish_alone(runner, prompt, count=12):
    runner.reset()
    return said_and_cached(runner, prompt, count)[0]


def test_a_running_sequence_lends_its_prefix(runner):
    device = runner("qwen3")
    prompt = [random.Random(9).randrange(3, 259) for _ in range(100)]
    wanted = finish_alone(device, [*prompt, 5])
    device.reset()
    device.add(Job(7, tuple(prompt), (), 400, (), Policy()))
    for _ in range(12):
        device.step()
    device.add(Job(8, (*prompt, 5), (), 12, (), Policy()))
    steps = []
    while not (steps and steps[-1].ended):
        steps += [step for step in device.step() if step.uid == 8]
    assert [step.token for step in steps] == wanted
    assert steps[0].cached == 100


def test_prompts_that_arrive_together_are_read_once(runner):
    device = runner("qwen3")
    shared = [random.Random(10).randrange(3, 259) for _ in range(120)]
    prompts = {uid: (*shared, *range(uid + 3, uid + 9)) for uid in range(1, 5)}
    wanted = {uid: finish_alone(device, prompt, 8) for uid, prompt in prompts.items()}
    device.reset()
    for uid, prompt in prompts.items():
        device.add(Job(uid, prompt, (), 8, (), Policy()))
    steps = []
    while sum(step.ended is not None for step in steps) < len(prompts):
        steps += device.step()
    assert {u: [s.token for s in steps if s.uid == u] for u in prompts} == wanted
    assert sorted(step.cached for step in steps if step.cached) == [120, 120, 120]


def test_quantised_caches_run_in_groups_of_one(runner):
    device = runner("llama-wide", kv_bits=8)
    jobs = [Job(uid, (5, 6, 7 + uid), (), 9, (), Policy()) for uid in range(3)]
    wanted = {job.uid: alone(device, job) for job in jobs}
    device.reset()
    for job in jobs:
        device.add(job)
    assert finish(device, {job.uid: [] for job in jobs}) == wanted


def test_a_full_memory_keeps_the_rest_waiting(tiny_model):
    load = Load(str(tiny_model("qwen3")), 8, 16, 300_000, None, 0)
    device = load_runner(load).runner
    small, large = (Job(1, (5,) * n, (), 10, (), Policy()) for n in (10, 400))
    assert device.has_room(large)
    device.add(small)
    assert device.has_room(small)
    assert not device.has_room(large)


def test_rows_that_outgrow_the_memory_give_it_back(tiny_model):
    load = Load(str(tiny_model("qwen3")), 8, 16, 60_000, None, 0)
    device = load_runner(load).runner
    for uid in (1, 2):
        device.add(Job(uid, (5, 6, 7), (), 400, (), Policy()))
    while device.crowded() is None:
        device.step()
    assert device.crowded() == 2
    device.remove(2)
    assert device.crowded() is None


def test_log_probabilities_are_the_models_and_only_for_those_who_ask(runner):
    device = runner("qwen3")
    jobs = [
        Job(1, (5, 6), (), 5, (), Policy(), top_logprobs=3),
        Job(2, (5, 6), (), 5, (), Policy()),
        Job(3, (5, 6), (), 5, (), Policy(temperature=2.0, seed=3), top_logprobs=0),
    ]
    for job in jobs:
        device.add(job)
    steps = []
    while sum(step.ended is not None for step in steps) < 3:
        steps += device.step()
    greedy, silent, warm = ([step for step in steps if step.uid == uid] for uid in (1, 2, 3))
    assert all(len(step.top) == 3 and step.top[0] == (step.token, step.logprob) for step in greedy)
    assert all(step.logprob is None for step in silent)
    assert all(step.logprob < 0 and step.top == () for step in warm)
    assert [step.token for step in greedy] == [step.token for step in silent]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_crowd_that_comes_at_once_is_answered_as_if_one_by_one(runner, family):
    dice = random.Random(11)
    device = runner(family)
    jobs = some_jobs(dice, 8)
    wanted = {job.uid: alone(device, job) for job in jobs}
    device.reset()
    for job in jobs:
        device.add(job)
    assert finish(device, {job.uid: [] for job in jobs}) == wanted
