"""What is done on CUDA alone and needs no CUDA: few shapes, and attention by plain products."""

import random

import mlx.core as mx
import pytest
from mlx_lm.models import base

from mlxk.engine import cuda_attention, padded_attention, ragged, shapes, weights
from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Job, Load
from mlxk.engine.weights import load_runner

WARM = Policy(temperature=0.8, top_p=0.9, seed=11)


@pytest.mark.parametrize("mask", ["none", "causal", "padding", "added"])
@pytest.mark.parametrize("count", [1, 7, 40])
def test_plain_products_say_what_mlx_says(mask, count):
    rows, heads, shared, wide, length = 3, 8, 2, 16, 90
    queries = mx.random.normal((rows, heads, count, wide))
    keys, values = (mx.random.normal((rows, shared, length, wide)) for _ in range(2))
    seen = mx.arange(length) >= mx.array([0, 3, 50])[:, None, None, None]
    masks = {"none": None, "causal": "causal", "padding": seen}
    masks["added"] = mx.where(mx.broadcast_to(seen, (rows, 1, count, length)), 0.0, -1e9)
    wanted = mx.fast.scaled_dot_product_attention(
        queries, keys, values, scale=0.25, mask=masks[mask]
    )
    got = cuda_attention.composed(queries, keys, values, 0.25, masks[mask])
    assert mx.abs(got - wanted).max().item() < 1e-5


@pytest.fixture
def like_cuda(tiny_model, monkeypatch):
    """A runner as on CUDA, but for the kernel that only CUDA can run."""
    monkeypatch.setattr(weights, "_is_cuda", lambda: True)
    monkeypatch.setattr(padded_attention, "fits", lambda *_: False)
    limit = mx.set_cache_limit(1 << 30)
    device = load_runner(Load(str(tiny_model("qwen3")), 8, 64, None, None, 1 << 24)).runner
    model = device._forward.model
    yield device
    ragged._install(model, base.scaled_dot_product_attention)
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
    model = like_cuda._forward.model
    seen = []
    like_cuda._prompts._forward = like_cuda._forward = noting(like_cuda._forward, seen)
    got = all_said(like_cuda, jobs, together=False)
    known = set(shapes.lengths(256))
    assert {width for rows, width in seen if width > 1} <= known
    again = all_said(like_cuda, jobs, together=True)
    assert again == got
    assert {rows for rows, width in seen if width > 1} <= {1, 2, 4, 8, 16}
    ragged._install(model, base.scaled_dot_product_attention)
    plain = load_runner(Load(str(tiny_model("qwen3")), 8, 64, None, None, 1 << 24)).runner
    assert all_said(plain, jobs, together=False) == got


def noting(forward, seen):
    class Noting:
        def __call__(self, tokens, cache):
            seen.append(tokens.shape)
            return forward.model(tokens, cache=cache)

    return type(forward)(Noting(), forward.shard, forward.slack)


def test_shapes_are_met_while_nobody_waits(like_cuda):
    met = 0
    while like_cuda.tidy():
        met += 1
    assert met == len(shapes.lengths(256))
