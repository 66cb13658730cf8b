"""What is done on CUDA alone, but for its kernel: passes of few shapes."""

import random
from dataclasses import replace

import mlx.core as mx
import pytest

from mlxk.engine import prefill, shapes, weights
from mlxk.engine.drafting import Drafting
from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Job, Load
from mlxk.engine.wager import Wager
from mlxk.engine.weights import load_runner

WARM = Policy(temperature=0.8, top_p=0.9, seed=11)


@pytest.fixture
def like_cuda(tiny_model, monkeypatch):
    """A runner as on CUDA, but for the kernel that only CUDA can run."""
    monkeypatch.setattr(weights, "_is_cuda", lambda: True)
    limit = mx.set_cache_limit(1 << 30)
    device = load_runner(Load(str(tiny_model("qwen3")), 8, 64, None, None, 1 << 24)).runner
    yield device
    mx.set_cache_limit(limit)


def all_said(device, jobs, *, together):
    said = {job.uid: [] for job in jobs}
    for crowd in [jobs] if together else [[job] for job in jobs]:
        for job in crowd:
            device.add(job)
        left = {job.uid for job in crowd}
        while left:
            for step in device.step():
                said[step.uid].append(step.token)
                left -= {step.uid} if step.ended else set()
    return said


def test_padded_passes_change_no_word(tiny_model, like_cuda):
    dice = random.Random(4)
    begun = [dice.randrange(3, 259) for _ in range(300)]
    lengths = [1, 2, 5, 31, 33, 200, 255, 256, 257, 258, 300, 513, 700]
    jobs = [
        Job(
            uid,
            tuple(begun[: length // 2] + dice.choices(range(3, 259), k=length - length // 2)),
            (),
            12,
            (2,),
            dice.choice([Policy(), WARM]),
        )
        for uid, length in enumerate(lengths)
    ]
    seen = []
    like_cuda._prompts._forward = like_cuda._forward = noting(like_cuda._forward, seen)
    got = all_said(like_cuda, jobs, together=False)
    assert {shape for shape in seen if shape[1] > 1} == {(1, 256), (1, 512)}
    assert all_said(like_cuda, jobs, together=True) == got
    plain = load_runner(Load(str(tiny_model("qwen3")), 8, 64, None, None, 1 << 24)).runner
    assert all_said(plain, jobs, together=False) == got


def test_many_short_prompts_are_read_in_passes_of_powers_of_two(tiny_model, like_cuda):
    dice = random.Random(9)
    jobs = [
        Job(uid, tuple(dice.choices(range(3, 259), k=length)), (), 5, (2,), Policy())
        for uid, length in enumerate([20, 25, 30, 31, 40, 50, 60])
    ]
    seen = []
    like_cuda._prompts._forward = like_cuda._forward = noting(like_cuda._forward, seen)
    got = all_said(like_cuda, jobs, together=True)
    assert {shape for shape in seen if shape[1] > 1} <= {
        (rows, width) for rows, _, width in shapes.ordinary(256)
    }
    plain = load_runner(Load(str(tiny_model("qwen3")), 8, 64, None, None, 1 << 24)).runner
    assert all_said(plain, jobs, together=False) == got


@pytest.mark.parametrize("policy", [Policy(), WARM], ids=["greedy", "warm"])
def test_drafts_are_checked_in_passes_whose_shapes_come_again(tiny_model, like_cuda, policy):
    class Eager(Wager):
        length = property(lambda _: 5)

    class Right:
        """Of every second place, whatever comes."""

        def prepare(self, text, hints):
            return True

        def propose(self, text, hints, most):
            end = text.size - len(job.prompt)
            return [*wanted[end : end + most - 1], 7] if end % 2 else []

    job = Job(0, tuple(random.Random(2).choices(range(3, 259), k=240)), (), 40, (), policy)
    plain = load_runner(Load(str(tiny_model("qwen3")), 8, 64, None, None, 1 << 24)).runner
    wanted = all_said(plain, [job], together=False)[0]
    seen = []
    like_cuda._prompts._forward = like_cuda._forward = noting(like_cuda._forward, seen)
    like_cuda._drafting = Drafting(Right(), Eager)
    assert all_said(like_cuda, [job], together=False)[0] == wanted
    assert seen.count((1, 256)) > 5
    assert len(seen) < 35
    assert {shape for shape in seen if shape[1] > 1} <= {(1, 256), (1, 512)}
    follower = replace(job, uid=1, prompt=(*job.prompt, *wanted, 9, 8), max_tokens=5)
    again = all_said(like_cuda, [follower], together=False)
    assert again == all_said(plain, [follower], together=False)


def noting(forward, seen):
    class Noting:
        def __call__(self, tokens, cache):
            seen.append(tuple(tokens.shape))
            return forward.model(tokens, cache=cache)

    return replace(forward, model=Noting())


def test_shapes_are_met_while_nobody_waits(like_cuda):
    met = 0
    while like_cuda.tidy():
        met += 1
    assert met == len(shapes.ordinary(256))


def test_a_model_that_takes_long_is_not_kept_busy(like_cuda, monkeypatch):
    monkeypatch.setattr(prefill, "_LONG_S", 0.0)
    met = 0
    while like_cuda.tidy():
        met += 1
    assert met == 9
