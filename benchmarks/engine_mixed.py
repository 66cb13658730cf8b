"""Milliseconds a decode step when lengths are mixed: mlx-lm's BatchGenerator, and our runner with
one padded batch and with as many parts as it may have.

The model of engine_throughput.py, greedy, rounds interleaved; medians. Prints one JSON document.
`python benchmarks/engine_mixed.py [--rounds 2] [--steps 10] [--lengths 15x40+1x2000 16x64]`

CPU time on a CPU; `--clock wall` with a GPU, and `--model FOLDER` (engine_gpu.py keeps one).
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from engine_throughput import as_published, build, prompts
from mlx_lm.generate import BatchGenerator
from mlx_lm.utils import load_model

from mlxk.engine.batch import BatchRunner
from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Job, Load
from mlxk.engine.weights import load_runner

_TOKENS = 400
LENGTHS = ["15x40+1x2000", "12x40+4x2000", "24x40+7x500+1x4000", "16x64"]
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}
Timed = Callable[[Callable[[], object]], float]


def timed(step: Callable[[], object], clock: Callable[[], float], steps: int) -> float:
    step()
    began = clock()
    for _ in range(steps):
        step()
    return (clock() - began) / steps * 1000


@as_published()
def raw(model: Any, asked: list[list[int]], spent: Timed) -> float:
    generator = BatchGenerator(
        model, max_tokens=_TOKENS, completion_batch_size=len(asked), prefill_batch_size=len(asked)
    )
    generator.insert(asked, max_tokens=[_TOKENS] * len(asked))
    while len(generator.next()[1]) < len(asked):
        pass
    return spent(generator.next)


def ours(runner: BatchRunner, asked: list[list[int]], spent: Timed, slack: int | None) -> float:
    runner.reset()
    runner._forward = runner._prompts._forward = replace(runner._forward, slack=slack)
    for uid, prompt in enumerate(asked):
        runner.add(Job(uid, tuple(prompt), (), _TOKENS, (), Policy()))
    while runner._prompts.rows:
        runner.step()
    return spent(runner.step)


def shape(text: str) -> list[tuple[int, int]]:
    """`15x40+1x2000`: fifteen rows of 40 tokens and one of 2000."""
    pairs = [part.split("x") for part in text.split("+")]
    return [(int(rows), int(length)) for rows, length in pairs]


def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, object]]:
    dice = random.Random(0)
    spent = partial(timed, clock=CLOCKS[options.clock], steps=options.steps)
    model, _ = load_model(folder)
    runner = load_runner(Load(str(folder), 64, 512, None, None, 0)).runner
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for name in options.lengths:
            rows = [prompt for many, long in shape(name) for prompt in prompts(many, long, dice)]
            ways = {
                "raw": lambda rows=rows: raw(model, rows, spent),
                "padded": lambda rows=rows: ours(runner, rows, spent, None),
                "parts": lambda rows=rows: ours(runner, rows, spent, 0),
            }
            for way in dice.sample(options.ways, len(options.ways)):
                found.setdefault((name, way), []).append(ways[way]())
                print(name, way, found[name, way][-1], file=sys.stderr, flush=True)
    return [
        {"lengths": name, "way": way, "ms_a_step": round(statistics.median(times), 2)}
        for (name, way), times in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--lengths", nargs="+", default=LENGTHS)
    parser.add_argument("--ways", nargs="+", default=["raw", "padded", "parts"])
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if options.model is None:
            build(folder := Path(scratch) / "model")
        results = measure(options.model or folder, options)
    print(orjson.dumps(results, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
