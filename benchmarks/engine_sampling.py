"""Milliseconds of CPU a decode step under several policies, and greedy's over each.

The model of engine_throughput.py with a vocabulary of 8192 and one of 151936, rounds interleaved;
medians, the ratio of those within rounds. Prints one JSON document.
`python benchmarks/engine_sampling.py [--rounds 3] [--steps 12] [--rows 1 16] [--vocabulary 8192]`

CPU time on a CPU; `--clock wall` with a GPU.
"""

import argparse
import random
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import orjson
from engine_mixed import CLOCKS, timed
from engine_throughput import build, prompts

from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Job, Load
from mlxk.engine.weights import load_runner

warm = partial(Policy, temperature=0.7, seed=3)
POLICIES = {
    "greedy": [Policy()],
    "temperature": [warm()],
    "top_p 0.95": [warm(top_p=0.95)],
    "top_p 0.5": [warm(top_p=0.5)],
    "top_k 20, top_p 0.95": [warm(top_k=20, top_p=0.95)],
    "top_k 64": [warm(top_k=64)],
    "min_p 0.05": [warm(min_p=0.05)],
    "mixed": [Policy(), warm(), warm(top_p=0.95), warm(top_k=20, top_p=0.95)],
}


def step_time(
    runner: Any, name: str, asked: list[list[int]], spent: Callable[[Any], float]
) -> float:
    runner.reset()
    for uid, (prompt, policy) in enumerate(zip(asked, cycle(POLICIES[name]), strict=False)):
        runner.add(Job(uid, tuple(prompt), (), 400, (), policy))
    while runner._prompts.rows:
        runner.step()
    return spent(runner.step)


def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, object]]:
    dice = random.Random(0)
    spent = partial(timed, clock=CLOCKS[options.clock], steps=options.steps)
    found: dict[tuple[int, int, str], list[float]] = {}
    for vocabulary in options.vocabulary:
        build(model := folder / str(vocabulary), vocabulary)
        runner = load_runner(Load(str(model), 64, 512, None, None, 0)).runner
        for _ in range(options.rounds):
            for rows in options.rows:
                for name in dice.sample(list(POLICIES), len(POLICIES)):
                    times = found.setdefault((vocabulary, rows, name), [])
                    times.append(step_time(runner, name, prompts(rows, 64, dice), spent))
                    print(vocabulary, rows, name, times[-1], file=sys.stderr, flush=True)
    return [
        {
            "vocabulary": vocabulary,
            "rows": rows,
            "policy": name,
            "ms_a_step": round(statistics.median(times), 2),
            "of_greedy": round(
                statistics.median(
                    greedy / time
                    for greedy, time in zip(found[vocabulary, rows, "greedy"], times, strict=True)
                ),
                2,
            ),
        }
        for (vocabulary, rows, name), times in sorted(found.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 16, 32])
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[8192, 151936])
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        results = measure(Path(scratch), options)
    print(orjson.dumps(results, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
