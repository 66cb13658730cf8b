"""Waiting times of the engine as ratios: reused prefixes, joining a batch, a long intruder.

The model is that of engine_throughput.py. Prints one JSON document.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import orjson
from engine_throughput import VOCABULARY, build

from mlxk.chat.types import Finish, Request, Start
from mlxk.engine.model import EngineModel
from mlxk.engine.options import EngineOptions

ROUNDS = 5


def words(count: int, dice: random.Random) -> list[str]:
    return [f"w{dice.randrange(VOCABULARY)}" for _ in range(count)]


async def times(model: EngineModel, prompt: list[str], count: int) -> list[float]:
    """When each piece of the answer came, in seconds after the question."""
    request = Request("m", (), max_tokens=count)
    began = time.perf_counter()
    return [
        time.perf_counter() - began
        async for event in model.complete(request, " ".join(prompt))
        if not isinstance(event, (Start, Finish))
    ]


async def first(model: EngineModel, prompt: list[str]) -> float:
    return (await times(model, prompt, 2))[0]


def gaps(moments: list[float]) -> list[float]:
    return [late - early for early, late in pairwise(moments)]


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


async def prefixes(model: EngineModel, dice: random.Random) -> dict[str, float]:
    cold, warm, killed = [], [], []
    for _ in range(ROUNDS):
        prompt, tail = words(1500, dice), words(40, dice)
        cold.append(await first(model, prompt))
        warm.append(await first(model, [*prompt, *tail]))
        await asyncio.sleep(0.5)
        os.kill(model.pid or 0, signal.SIGKILL)
        await asyncio.sleep(0.2)
        await model.ready()
        await first(model, words(20, dice))
        killed.append(await first(model, [*prompt, *words(40, dice)]))
    base = statistics.median(cold)
    return {
        "cold_ttft_s": base,
        "new_tail_over_cold": statistics.median(warm) / base,
        "new_tail_after_sigkill_over_cold": statistics.median(killed) / base,
    }


async def company(model: EngineModel, dice: random.Random) -> dict[str, float]:
    alone = statistics.median([await first(model, words(64, dice)) for _ in range(ROUNDS)])
    streams = [asyncio.ensure_future(times(model, words(64, dice), 900)) for _ in range(8)]
    await asyncio.sleep(2.0)
    began = time.perf_counter()
    joining = [await first(model, words(64, dice)) for _ in range(ROUNDS)]
    joined = time.perf_counter() - began
    await asyncio.sleep(1.0)
    intruder = await times(model, words(4000, dice), 2)
    heard = [await stream for stream in streams]
    start = 2.0 + joined + 1.0
    quiet = [g for moments in heard for g in gaps([m for m in moments if 0.5 < m < 2.0])]
    busy = [
        g
        for moments in heard
        for g in gaps([m for m in moments if start <= m <= start + intruder[0]])
    ]
    median = statistics.median(quiet)
    return {
        "alone_ttft_s": alone,
        "joining_8_over_alone": statistics.median(joining) / alone,
        "quiet_gap_s": median,
        "intruder_ttft_s": intruder[0],
        "gap_p95_during_4k_prompt_over_quiet": percentile(busy, 0.95) / median,
        "gap_max_during_4k_prompt_over_quiet": max(busy) / median,
    }


async def measure(folder: Path) -> dict[str, float]:
    dice = random.Random(0)
    options = EngineOptions(prefix_cache_folder=folder.parent / "kv")
    async with EngineModel(folder, "m", home=folder.parent, options=options) as model:
        await model.ready()
        await first(model, words(64, dice))
        return await prefixes(model, dice) | await company(model, dice)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        build(folder)
        results = asyncio.run(measure(folder))
    rounded = {name: round(value, 4) for name, value in results.items()}
    print(orjson.dumps(rounded, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
