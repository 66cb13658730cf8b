"""The engine loop on a real model that fails in every place where a device can."""

import pytest

from mlxk.engine import caches, drawing
from mlxk.engine.batch import BatchRunner, Limits
from mlxk.engine.inbox import Queued
from mlxk.engine.loop import EngineLoop
from mlxk.engine.matcher import Grammars
from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Add, Failed, Job, Load, Steps, Stop
from mlxk.engine.weights import load_runner

# None of the healthy sequences says this token.
POISON = 1


class Faulty:
    """A model that raises when the poisonous token is among its inputs and `when` agrees."""

    def __init__(self, model, when, error):
        self.model = model
        self.when = when
        self.error = error

    def __call__(self, inputs, cache):
        if self.when(inputs.shape[1]) and (inputs == POISON).any().item():
            raise type(self.error)(*self.error.args)
        return self.model(inputs, cache=cache)


@pytest.fixture(scope="session")
def model(tiny_model):
    return load_runner(Load(str(tiny_model("qwen3")), 8, 16, None, None, 0)).runner._forward.model


@pytest.fixture
def answers(model, tiny_model):
    def run(jobs, when=lambda _width: False, error=None):
        make = caches.maker(model)
        shape = caches.Geometry(1, (), 0)
        runner = BatchRunner(
            Faulty(model, when, error),
            make,
            shape,
            Limits(8, 16, 1 << 30, 1 << 24),
            Grammars(tiny_model("qwen3"), 259),
        )
        return play(runner, jobs)

    return run


def play(runner, jobs):
    inbox, reports = Queued(), []

    def report(item):
        reports.append(item)
        ended = {
            step.uid for r in reports if isinstance(r, Steps) for step in r.steps if step.ended
        }
        failed = {r.uid for r in reports if isinstance(r, Failed)}
        if ended | failed == {job.uid for job in jobs}:
            inbox.put(Stop())

    for job in jobs:
        inbox.put(Add(job))
    EngineLoop(runner, inbox, report).run()
    steps = [step for r in reports if isinstance(r, Steps) for step in r.steps]
    tokens = {job.uid: [s.token for s in steps if s.uid == job.uid] for job in jobs}
    return tokens, {r.uid: r.kind for r in reports if isinstance(r, Failed)}


def job(uid, prompt, **policy):
    return Job(uid, tuple(prompt), (), 20, (), Policy(**policy))


HEALTHY = [job(1, range(3, 20)), job(2, range(30, 90)), job(3, (4, 5))]
IN_PROMPT = job(9, [*range(60, 80), POISON, 5, 6])
AT_DECODE = job(9, [*range(60, 80), POISON])


@pytest.mark.parametrize(
    ("poison", "when"),
    [(IN_PROMPT, lambda width: width > 1), (AT_DECODE, lambda width: width == 1)],
    ids=["prefill", "decode"],
)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_fault_of_one_is_the_end_of_one(answers, poison, when, place):
    wanted, _ = answers(HEALTHY)
    assert not any(POISON in tokens for tokens in wanted.values())
    jobs = [*HEALTHY[:place], poison, *HEALTHY[place:]]
    tokens, failed = answers(jobs, when, RuntimeError("boom"))
    assert {uid: tokens[uid] for uid in wanted} == wanted
    assert failed == {9: "engine_failed"}


def test_a_device_without_memory_says_so(answers):
    error = RuntimeError("[metal::malloc] Unable to allocate 9 bytes")
    wanted, _ = answers(HEALTHY)
    tokens, failed = answers([*HEALTHY, IN_PROMPT], lambda width: width > 1, error)
    assert {uid: tokens[uid] for uid in wanted} == wanted
    assert failed == {9: "out_of_memory"}


def test_a_fault_in_sampling_is_the_end_of_one(answers, monkeypatch):
    wanted, _ = answers(HEALTHY)
    uniforms = drawing.uniforms

    def unlucky(seeds, positions, count):
        if (13, 5) in zip(seeds, positions, strict=True):
            raise FloatingPointError("boom")
        return uniforms(seeds, positions, count)

    monkeypatch.setattr(drawing, "uniforms", unlucky)
    jobs = [*HEALTHY, job(9, (7, 8), temperature=1.0, seed=13)]
    tokens, failed = answers(jobs)
    assert {uid: tokens[uid] for uid in wanted} == wanted
    assert failed == {9: "engine_failed"}
    assert len(tokens[9]) in (4, 5)
