"""On every kind of cache, a sequence in a changing batch says what it says alone."""

import random

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

    def get(family):
        if family not in loaded:
            loaded[family] = load_runner(Load(str(tiny_model(family)), 8, 16, None, None))[0]
        loaded[family].reset()
        return loaded[family]

    return get


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
