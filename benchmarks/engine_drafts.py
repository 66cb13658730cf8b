"""What drafts cost and bring: time a token of a lone answer without them, over with them.

Five answers: the embedded model writes a file that its prompt holds (`copies`) and says words of
its own (`speaks`); a random model wanders (`wanders`), is its own draft model (`itself`: all drafts
hold, each costs as much as the token), and one that is never right (`astray`). Rounds interleaved,
the same requests for both in any order; medians of the ratios within rounds. Prints JSON.
`python benchmarks/engine_drafts.py [--rounds 5] [--answers copies speaks]`
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import orjson
from engine_throughput import build

from mlxk.chat.types import Message, Request, Text, Tool
from mlxk.engine.batch import BatchRunner
from mlxk.engine.jobs import job_of
from mlxk.engine.policy import Policy
from mlxk.engine.prompt import Prompter
from mlxk.engine.protocol import Job, Load
from mlxk.engine.tokenizer import load_text
from mlxk.engine.weights import load_runner
from mlxk.hub import names

_ANSWERS = ["copies", "speaks", "wanders", "itself", "astray"]
_NAMES = ["amount", "colour", "height", "label", "margin", "offset", "radius", "weight"]
_WRITE = Tool(
    "write_file",
    "Write a file.",
    {
        "type": "object",
        "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["path", "content"],
    },
)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    without: BatchRunner
    with_drafts: BatchRunner
    job: Callable[[random.Random], Job]


@dataclass(frozen=True, slots=True)
class Spent:
    """Milliseconds a token, after the first one; what was drafted and what held."""

    cpu_ms: float
    wall_ms: float
    drafted: int
    accepted: int


def answered(runner: BatchRunner, job: Job) -> tuple[list[int], Spent]:
    runner.reset()
    runner.add(job)
    steps = list(runner.step())
    while not steps:
        steps += runner.step()
    cpu, wall = time.process_time(), time.perf_counter()
    while not steps[-1].ended:
        steps += runner.step()
    share = 1000 / max(len(steps) - 1, 1)
    spent = Spent(
        (time.process_time() - cpu) * share,
        (time.perf_counter() - wall) * share,
        sum(step.drafted for step in steps),
        sum(step.accepted for step in steps),
    )
    return [step.token for step in steps], spent


def cases(scratch: Path) -> list[Case]:
    build(folder := scratch / "random")
    tiny = _in_32_bits(names.resolve("builtin:tiny").folder, scratch / "tiny")
    runners = {
        (at, draft): load_runner(Load(str(at), 8, 512, None, None, 0, draft=draft)).runner
        for at in (tiny, folder)
        for draft in (None, "lookup", str(at))
    }

    def case(name: str, at: Path, draft: str, job: Callable[[random.Random], Job]) -> Case:
        return Case(name, runners[at, None], runners[at, draft], job)

    return [
        case("copies", tiny, "lookup", lambda dice: _asked(tiny, _copying(dice))),
        case("speaks", tiny, "lookup", lambda _: _asked(tiny, "What can you do?")),
        case("wanders", folder, "lookup", _wandering),
        case(
            "itself", folder, str(folder), lambda dice: replace(_wandering(dice), policy=Policy())
        ),
        case("astray", folder, str(folder), _wandering),
    ]


def _in_32_bits(folder: Path, copy: Path) -> Path:
    """MLX multiplies narrower numbers without a library on a CPU, several rows like several times
    one."""
    shutil.copytree(folder, copy)
    weights: Any = mx.load(str(copy / "model.safetensors"))
    wide = {name: array.astype(mx.float32) for name, array in weights.items()}
    mx.save_safetensors(str(copy / "model.safetensors"), wide, {"format": "mlx"})
    return copy


def _copying(dice: random.Random) -> str:
    lines = "\n".join(" ".join(dice.sample(_NAMES, 7)) for _ in range(5))
    return f"Create a file named {dice.choice(_NAMES)}.txt with this content:\n```\n{lines}\n```"


def _asked(folder: Path, question: str) -> Job:
    text = load_text(folder)
    request = Request("tiny", (Message("user", (Text(question),)),), (_WRITE,), max_tokens=400)
    return job_of(request, Prompter(text).prompt(request), text, 2000)


def _wandering(dice: random.Random) -> Job:
    prompt = tuple(dice.randrange(8192) for _ in range(64))
    return Job(1, prompt, (), 200, (), Policy(temperature=1.0, seed=dice.randrange(1 << 30)))


def measure(options: argparse.Namespace, scratch: Path) -> list[dict[str, object]]:
    dice = random.Random(0)
    found: dict[str, list[tuple[Spent, Spent]]] = {}
    same: dict[str, bool] = {}
    known = [case for case in cases(scratch) if case.name in options.answers]
    for _ in range(options.rounds):
        for case in dice.sample(known, len(known)):
            job = case.job(dice)
            runners = (case.without, case.with_drafts)
            told = {at: answered(runners[at], job) for at in dice.sample([0, 1], 2)}
            (text, plain), (again, drafts) = told[0], told[1]
            same[case.name] = same.get(case.name, True) and text == again
            found.setdefault(case.name, []).append((plain, drafts))
            print(case.name, len(text), plain, drafts, file=sys.stderr, flush=True)
    return [_row(name, pairs, is_same=same[name]) for name, pairs in sorted(found.items())]


def _row(name: str, pairs: list[tuple[Spent, Spent]], *, is_same: bool) -> dict[str, object]:
    drafted = sum(drafts.drafted for _, drafts in pairs)
    return {
        "answer": name,
        "cpu_ms_without": round(statistics.median(plain.cpu_ms for plain, _ in pairs), 2),
        "speed_by_cpu": round(statistics.median(a.cpu_ms / b.cpu_ms for a, b in pairs), 2),
        "speed_by_wall": round(statistics.median(a.wall_ms / b.wall_ms for a, b in pairs), 2),
        "drafted": drafted,
        "share_held": round(sum(b.accepted for _, b in pairs) / drafted, 2) if drafted else None,
        "same_words": is_same,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--answers", nargs="+", choices=_ANSWERS, default=_ANSWERS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        results = measure(options, Path(scratch))
    print(orjson.dumps(results, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
