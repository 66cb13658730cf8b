"""Tokens a second on one GPU: mlx-lm's BatchGenerator, our runner, and the whole engine.

A random Qwen3 in bfloat16, greedy, prompts that differ, rounds interleaved in one run; medians.
`bare` is the model's forward pass in a loop and nothing else: what Python and the device leave
to everybody. Prints one JSON document, also when `--seconds` have passed before the end.
`python benchmarks/engine_gpu.py [--shape tiny] [--streams 1 8 32 64] [--ways raw engine]`
"""

import argparse
import asyncio
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import mlx.core as mx
import orjson
from engine_throughput import as_published
from mlx.utils import tree_flatten
from mlx_lm.generate import BatchGenerator
from mlx_lm.models import qwen3
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from mlxk.chat.types import Finish, Message, Request, Start, Text
from mlxk.engine.model import EngineModel
from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Job, Load
from mlxk.engine.runner import Runner
from mlxk.engine.weights import load_runner

VOCABULARY = 8192
CACHE_BYTES = 24 << 30
SHAPES: dict[str, dict[str, int]] = {
    "4b": {
        "hidden_size": 2560,
        "num_hidden_layers": 36,
        "intermediate_size": 9728,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
    },
    "tiny": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
    },
}
COMMON = {
    "model_type": "qwen3",
    "rms_norm_eps": 1e-6,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 8192,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
}
SAMPLED = Policy(temperature=0.7, top_p=0.95, seed=3)
NVIDIA_QUERY = "name,memory.total,memory.used,driver_version,compute_cap"
NVIDIA = (
    ("nvidia-smi", f"--query-gpu={NVIDIA_QUERY}", "--format=csv,noheader,nounits"),
    ("nvidia-smi", "-L"),
)
WAYS = ("raw", "runner", "engine", "runner, sampled", "bare")
DISTRIBUTIONS = ("mlx", "mlx-lm", "mlx-cuda-13", "mlx-cuda-12", "mlx-cpu")

Prompts = list[list[int]]


@dataclass(slots=True)
class Trace:
    """When tokens came, and how many at a time; `gaps` are what each stream waited between two."""

    began: float = field(default_factory=time.perf_counter)
    moments: list[tuple[float, int]] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    more: dict[str, float] = field(default_factory=dict)

    def note(self, count: int) -> None:
        if count:
            self.moments.append((time.perf_counter(), count))

    def figures(self, streams: int) -> dict[str, float]:
        """`steady_tokens_s` is of the steps that answered every stream."""
        last = max(moment for moment, _ in self.moments)
        found = {"tokens_s": sum(count for _, count in self.moments) / (last - self.began)}
        full = [moment for moment, count in self.moments if count == streams]
        steps = [after - before for before, after in pairwise(full)]
        if steps and not self.gaps:
            found["all_running_ms"] = 1000 * (full[0] - self.began)
            found["step_p50_ms"] = 1000 * statistics.median(steps)
            found["steady_tokens_s"] = streams / statistics.median(steps)
        if len(gaps := self.gaps) > 1:
            found["gap_p50_ms"] = 1000 * statistics.median(gaps)
            found["gap_p95_ms"] = 1000 * statistics.quantiles(gaps, n=20)[-1]
        return found | self.more


class Report:
    """What has been found so far; printed once, at the end or when time is up."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._began = time.monotonic()
        self._end = self._began + options.seconds
        self._options = options
        self._found: dict[tuple[int, str], list[dict[str, float]]] = {}
        self._notes: list[str] = []
        self._lock = threading.Lock()
        self._is_printed = False
        self._phase = "start"
        timer = threading.Timer(options.seconds, self._give_up)
        timer.daemon = True
        timer.start()

    def has(self, seconds: float) -> bool:
        return time.monotonic() + seconds < self._end

    def phase(self, name: str) -> None:
        self._phase = name
        print(f"{time.monotonic() - self._began:7.1f} s  {name}", file=sys.stderr, flush=True)

    def add(self, streams: int, way: str, figures: dict[str, float]) -> None:
        self._found.setdefault((streams, way), []).append(figures)
        said = ", ".join(f"{name} {value:.2f}" for name, value in figures.items())
        self.phase(f"{streams} {way}: {said}")

    def fail(self, way: str, error: Exception) -> None:
        self._notes.append(f"{way}: {type(error).__name__}: {error}"[:500])
        self.phase(self._notes[-1])

    def print(self) -> None:
        with self._lock:
            if self._is_printed:
                return
            self._is_printed = True
            print(orjson.dumps(self._document(), option=orjson.OPT_INDENT_2).decode(), flush=True)

    def _give_up(self) -> None:
        self._notes.append(f"time was up during: {self._phase}")
        self.print()
        os._exit(1)

    def _document(self) -> dict[str, object]:
        found = dict(sorted(self._found.items()))
        return {
            "machine": machine(),
            "shape": SHAPES[self._options.shape] | COMMON,
            "prompt": self._options.prompt,
            "tokens": self._options.tokens,
            "results": [_row(found, *key) for key in found],
            "rounds": [
                {
                    "streams": streams,
                    "way": way,
                    "tokens_s": [round(r["tokens_s"], 1) for r in rounds],
                }
                for (streams, way), rounds in found.items()
            ],
            "notes": self._notes,
        }


def _row(
    found: dict[tuple[int, str], list[dict[str, float]]], streams: int, way: str
) -> dict[str, object]:
    rounds = found[streams, way]
    medians = {
        name: round(statistics.median(figures[name] for figures in rounds if name in figures), 3)
        for name in rounds[0]
    }
    # The ratio of each round by itself: what slows a round slows both.
    pairs = zip(rounds, found.get((streams, "raw"), []), strict=False)
    ratios = [mine["tokens_s"] / raw["tokens_s"] for mine, raw in pairs]
    over = round(statistics.median(ratios), 3) if ratios else None
    return {"streams": streams, "way": way, "rounds": len(rounds), "over_raw": over, **medians}


def machine() -> dict[str, object]:
    return {
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "cores": os.cpu_count(),
        "device": str(mx.default_device()),
        "versions": {name: said for name in DISTRIBUTIONS if (said := _version(name))},
        "nvidia": {" ".join(argv): said for argv in NVIDIA if (said := _said(argv))},
    }


def _version(distribution: str) -> str | None:
    with suppress(ImportError):
        return version(distribution)
    return None


def _said(argv: Sequence[str]) -> str | None:
    """What a program prints, without what tells one device from another of its kind."""
    if shutil.which(argv[0]) is None:
        return None
    with suppress(subprocess.TimeoutExpired):
        said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20).stdout
        masked = "GPU-00000000-0000-0000-0000-000000000000"
        return re.sub(r"(GPU|MIG)-[0-9a-fA-F]{8}(-[0-9a-fA-F]+)*", masked, said)
    return None


def build(folder: Path, shape: str) -> None:
    """A model folder: configuration, random weights, a tokenizer of one word a token."""
    folder.mkdir(parents=True)
    config = COMMON | SHAPES[shape]
    (folder / "config.json").write_bytes(orjson.dumps(config))
    words = {f"w{i}": i for i in range(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.Fuse()
    tokenizer.save(str(folder / "tokenizer.json"))
    mx.random.seed(1)
    model = qwen3.Model(qwen3.ModelArgs.from_dict(config))
    model.set_dtype(mx.bfloat16)
    weights = dict(tree_flatten(model.parameters()))
    mx.eval(weights)
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})


def bare(model: Any, asked: Prompts, count: int) -> Trace:
    """Greedy decoding of one rectangle of tokens, dispatched one step ahead, nothing else."""
    trace, cache = Trace(), make_prompt_cache(model)
    building: list[float] = []
    dispatching: list[float] = []
    token = mx.argmax(model(mx.array(asked), cache=cache)[:, -1, :], axis=-1)
    mx.async_eval(token)
    for _ in range(count):
        before = time.perf_counter()
        following = mx.argmax(model(token[:, None], cache=cache)[:, -1, :], axis=-1)
        built = time.perf_counter()
        mx.async_eval(following)
        building.append(built - before)
        dispatching.append(time.perf_counter() - built)
        trace.note(len(token.tolist()))
        token = following
    trace.more["build_ms"] = 1000 * statistics.median(building)
    trace.more["dispatch_ms"] = 1000 * statistics.median(dispatching)
    return trace


@as_published()
def raw(model: Any, asked: Prompts, count: int) -> Trace:
    trace = Trace()
    generator = BatchGenerator(model, max_tokens=count, completion_batch_size=len(asked))
    generator.insert(asked, max_tokens=[count] * len(asked))
    made = 0
    while made < count * len(asked):
        came = len(generator.next()[1])
        trace.note(came)
        made += came
    return trace


def ours(runner: Runner, asked: Prompts, count: int, policy: Policy) -> Trace:
    trace, made = Trace(), 0
    for uid, prompt in enumerate(asked):
        runner.add(Job(uid, tuple(prompt), (), count, (), policy))
    try:
        while made < count * len(asked):
            came = len(runner.step())
            trace.note(came)
            made += came
    except Exception:
        runner.reset()
        raise
    return trace


class Served:
    """The engine on an event loop in a thread of its own, as in a server; this one asks."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._model = EngineModel(folder, "m", home=folder.parent)
        self._wait(self._model.open(), 60)

    def ready(self, seconds: float) -> None:
        self._wait(self._model.ready(), seconds)

    def close(self) -> None:
        self._wait(self._model.close(), 20)

    def ask(self, asked: Prompts, count: int) -> Trace:
        return self._wait(self._ask(asked, count), 120)

    def _wait(self, work: Any, seconds: float) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    async def _ask(self, asked: Prompts, count: int) -> Trace:
        trace = Trace()
        firsts = await asyncio.gather(*(self._one(prompt, count, trace) for prompt in asked))
        trace.more["first_p50_ms"] = 1000 * (statistics.median(firsts) - trace.began)
        trace.more["first_max_ms"] = 1000 * (max(firsts) - trace.began)
        return trace

    async def _one(self, prompt: list[int], count: int, trace: Trace) -> float:
        text = " ".join(f"w{token}" for token in prompt)
        request = Request("m", (Message("user", (Text(text),)),), max_tokens=count)
        came: list[float] = []
        async for event in self._model.complete(request, text):
            if isinstance(event, Finish):
                trace.note(event.usage.completion_tokens)
            elif not isinstance(event, Start):
                came.append(time.perf_counter())
        trace.gaps += [after - before for before, after in pairwise(came)]
        return came[0]


def prompts(streams: int, length: int, dice: random.Random) -> Prompts:
    return [[dice.randrange(VOCABULARY) for _ in range(length)] for _ in range(streams)]


def measure(folder: Path, options: argparse.Namespace, report: Report) -> None:
    # The engine's process needs room too: what this one frees it would keep for itself.
    mx.set_cache_limit(CACHE_BYTES)
    report.phase("the model is written")
    if not folder.exists():
        build(folder, options.shape)
    mx.clear_cache()
    report.phase("the engine starts")
    engine = Served(folder)
    report.phase("the model is loaded")
    model, _ = load_model(folder)
    runner = load_runner(Load(str(folder), max(options.streams), 512, None, None, 0)).runner
    ways: dict[str, Callable[[Prompts, int], Trace]] = {
        "raw": lambda asked, count: raw(model, asked, count),
        "runner": lambda asked, count: ours(runner, asked, count, Policy()),
        "engine": engine.ask,
        "runner, sampled": lambda asked, count: ours(runner, asked, count, SAMPLED),
        "bare": lambda asked, count: bare(model, asked, count),
    }
    ways = {way: ways[way] for way in options.ways}
    report.phase("the engine is waited for")
    try:
        engine.ready(120)
    except Exception as e:  # noqa: BLE001 -- the others need no second process
        report.fail("engine", e)
        ways.pop("engine", None)
    _rounds(ways, options, report)
    engine.close()


def _rounds(
    ways: dict[str, Callable[[Prompts, int], Trace]], options: argparse.Namespace, report: Report
) -> None:
    """Each way and width once for a few tokens first: kernels are compiled when first used."""
    dice = random.Random(0)
    took: dict[tuple[int, str], float] = {}
    failed: set[tuple[int, str]] = set()
    for turn in range(-1, options.rounds):
        count = options.warm if turn < 0 else options.tokens
        for streams in options.streams:
            for way in dice.sample(list(ways), len(ways)):
                enough = report.has(1.3 * took.get((streams, way), 0.0))
                if (streams, way) in failed or not enough:
                    continue
                report.phase(f"round {turn}: {streams} {way}")
                began = time.monotonic()
                try:
                    trace = ways[way](prompts(streams, options.prompt, dice), count)
                except Exception as e:  # noqa: BLE001 -- the other ways are still worth knowing
                    report.fail(f"{streams} {way}", e)
                    failed.add((streams, way))
                    mx.clear_cache()
                    continue
                if turn >= 0:
                    took[streams, way] = time.monotonic() - began
                    report.add(streams, way, trace.figures(streams))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=sorted(SHAPES), default="4b")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--warm", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--folder", type=Path, help="keeps the model for a second run")
    options = parser.parse_args()
    report = Report(options)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "model"
        try:
            measure(folder, options, report)
        except Exception as e:  # noqa: BLE001 -- what was measured before is printed all the same
            report.fail("measure", e)
            for log in folder.parent.glob("logs/*"):
                print(log.read_text()[-3000:], file=sys.stderr)
        report.print()


if __name__ == "__main__":
    main()
