"""Tokens a second: mlx-lm's BatchGenerator, our runner in this process, and the whole engine.

A random Qwen3 (hidden 256, 4 layers, vocabulary 8192, fp32), greedy, rounds interleaved; medians.
Prints one JSON document. `python benchmarks/engine_throughput.py [--rounds 3] [--rows 1 4 16]`
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlx.core as mx
import orjson
from mlx.utils import tree_flatten
from mlx_lm.generate import BatchGenerator
from mlx_lm.models import base, qwen3
from mlx_lm.utils import load_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from mlxk.chat.types import Finish, Message, Request, Text
from mlxk.engine.model import EngineModel
from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Job, Load
from mlxk.engine.weights import load_runner

VOCABULARY = 8192
CONFIG = {
    "model_type": "qwen3",
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "intermediate_size": 768,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 32,
    "rms_norm_eps": 1e-6,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 8192,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}


def build(folder: Path, vocabulary: int = VOCABULARY) -> None:
    config = {**CONFIG, "vocab_size": vocabulary}
    folder.mkdir()
    (folder / "config.json").write_bytes(orjson.dumps(config))
    words = {f"w{i}": i for i in range(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.Fuse()
    tokenizer.save(str(folder / "tokenizer.json"))
    mx.random.seed(1)
    model = qwen3.Model(qwen3.ModelArgs.from_dict(config))
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})


def prompts(rows: int, length: int, dice: random.Random) -> list[list[int]]:
    return [[dice.randrange(VOCABULARY) for _ in range(length)] for _ in range(rows)]


@contextmanager
def as_published() -> Iterator[None]:
    """mlx-lm's own attention: loading a model for the engine puts another one in its place."""
    ours = vars(qwen3)["scaled_dot_product_attention"]
    vars(qwen3)["scaled_dot_product_attention"] = base.scaled_dot_product_attention
    try:
        yield
    finally:
        vars(qwen3)["scaled_dot_product_attention"] = ours


@as_published()
def raw(model: qwen3.Model, asked: list[list[int]], count: int) -> float:
    generator = BatchGenerator(model, max_tokens=count, completion_batch_size=len(asked))
    generator.insert(asked, max_tokens=[count] * len(asked))
    began, made = time.perf_counter(), 0
    while made < count * len(asked):
        made += len(generator.next()[1])
    return made / (time.perf_counter() - began)


def ours(folder: Path, asked: list[list[int]], count: int, policy: Policy) -> float:
    runner = load_runner(Load(str(folder), 64, 512, None, None, 0)).runner
    began, made = time.perf_counter(), 0
    for uid, prompt in enumerate(asked):
        runner.add(Job(uid, tuple(prompt), (), count, (), policy))
    while made < count * len(asked):
        made += len(runner.step())
    return made / (time.perf_counter() - began)


async def served(model: EngineModel, asked: list[list[int]], count: int) -> float:
    async def one(prompt: list[int]) -> int:
        text = " ".join(f"w{token}" for token in prompt)
        request = Request("m", (Message("user", (Text(text),)),), max_tokens=count)
        async for event in model.complete(request, text):
            if isinstance(event, Finish):
                return event.usage.completion_tokens
        return 0

    began = time.perf_counter()
    made = sum(await asyncio.gather(*(one(prompt) for prompt in asked)))
    return made / (time.perf_counter() - began)


async def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, object]]:
    dice = random.Random(0)
    model, _ = load_model(folder)
    warm = Policy(temperature=0.7, top_p=0.95, seed=3)
    found: dict[tuple[int, str], list[float]] = {}
    async with EngineModel(folder, "m", home=folder.parent) as engine:
        await engine.ready()
        for _ in range(options.rounds):
            for rows in options.rows:
                asked = prompts(rows, options.prompt, dice)
                ways = {
                    "raw": lambda asked=asked: raw(model, asked, options.tokens),
                    "runner": lambda asked=asked: ours(folder, asked, options.tokens, Policy()),
                    "runner, sampled": lambda asked=asked: ours(
                        folder, asked, options.tokens, warm
                    ),
                }
                for name in dice.sample(sorted(ways), len(ways)):
                    found.setdefault((rows, name), []).append(ways[name]())
                speed = await served(engine, asked, options.tokens)
                found.setdefault((rows, "engine"), []).append(speed)
    return [
        {"rows": rows, "way": way, "tokens_s": round(statistics.median(speeds), 1)}
        for (rows, way), speeds in sorted(found.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4, 16, 32])
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        build(folder)
        results = asyncio.run(measure(folder, options))
    print(orjson.dumps(results, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
