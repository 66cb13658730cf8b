"""Milliseconds of CPU a decode step when lengths are mixed: mlx-lm's BatchGenerator, and our
runner with one padded batch and with parts.

The model of engine_throughput.py, greedy, rounds interleaved; medians. Prints one JSON document.
`python benchmarks/engine_mixed.py [--rounds 2] [--steps 10]`
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
from engine_throughput import build, prompts
from mlx_lm.generate import BatchGenerator
from mlx_lm.utils import load_model

from mlxk.engine.batch import BatchRunner
from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Job, Load
from mlxk.engine.weights import load_runner

_TOKENS = 400
SHAPES: dict[str, tuple[tuple[int, int], ...]] = {
    "15x40 + 1x2000": ((15, 40), (1, 2000)),
    "12x40 + 4x2000": ((12, 40), (4, 2000)),
    "24x40 + 7x500 + 1x4000": ((24, 40), (7, 500), (1, 4000)),
    "16x64": ((16, 64),),
}


def timed(step: Callable[[], object], steps: int) -> float:
    step()
    began = time.process_time()
    for _ in range(steps):
        step()
    return (time.process_time() - began) / steps * 1000


def raw(folder: Path, asked: list[list[int]], steps: int) -> float:
    model, _ = load_model(folder)
    generator = BatchGenerator(
        model, max_tokens=_TOKENS, completion_batch_size=len(asked), prefill_batch_size=len(asked)
    )
    generator.insert(asked, max_tokens=[_TOKENS] * len(asked))
    while len(generator.next()[1]) < len(asked):
        pass
    return timed(generator.next, steps)


def ours(runner: BatchRunner, asked: list[list[int]], steps: int, slack: int | None) -> float:
    runner.reset()
    runner._forward = runner._prompts._forward = replace(runner._forward, slack=slack)
    for uid, prompt in enumerate(asked):
        runner.add(Job(uid, tuple(prompt), (), _TOKENS, (), Policy()))
    while runner._prompts.rows:
        runner.step()
    return timed(runner.step, steps)


def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, object]]:
    dice = random.Random(0)
    runner = load_runner(Load(str(folder), 64, 512, None, None, 0)).runner
    slack = runner._forward.slack
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for name, shape in SHAPES.items():
            asked = [prompt for rows, length in shape for prompt in prompts(rows, length, dice)]
            ways = {
                "raw": lambda asked=asked: raw(folder, asked, options.steps),
                "padded": lambda asked=asked: ours(runner, asked, options.steps, None),
                "parts": lambda asked=asked: ours(runner, asked, options.steps, slack),
            }
            for way in dice.sample(sorted(ways), len(ways)):
                found.setdefault((name, way), []).append(ways[way]())
    return [
        {"lengths": name, "way": way, "cpu_ms_a_step": round(statistics.median(times), 2)}
        for (name, way), times in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        build(folder := Path(scratch) / "model")
        results = measure(folder, options)
    print(orjson.dumps(results, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
