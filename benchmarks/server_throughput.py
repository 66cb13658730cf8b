"""Streamed tokens a second through `mlxk serve`, in four formats, beside the raw BatchGenerator.

The same random model and prompts as engine_throughput.py, rounds interleaved, medians. Prints one
JSON document. `python benchmarks/server_throughput.py [--rounds 3] [--rows 1 4 16]`

CPU time counts the server with its engine, or this process for raw: on a machine that others use
it says more than the clock.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
from engine_throughput import build, prompts, raw
from mlx_lm.utils import load_model
from side_by_side import cpu_s

TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


def asked(name: str, text: str, tokens: int) -> tuple[str, dict[str, Any]]:
    messages = [{"role": "user", "content": text}]
    match name:
        case "openai_chat":
            return "/v1/chat/completions", {
                "messages": messages,
                "stream": True,
                "max_tokens": tokens,
                "temperature": 0,
            }
        case "openai_responses":
            return "/v1/responses", {
                "input": text,
                "stream": True,
                "store": False,
                "max_output_tokens": tokens,
                "temperature": 0,
            }
        case "anthropic":
            return "/v1/messages", {
                "messages": messages,
                "stream": True,
                "max_tokens": tokens,
                "temperature": 0,
            }
        case _:
            return "/v1beta/models/model:streamGenerateContent?alt=sse", {
                "contents": [{"role": "user", "parts": [{"text": text}]}],
                "generationConfig": {"maxOutputTokens": tokens, "temperature": 0},
            }


async def served(
    http: aiohttp.ClientSession, name: str, rows: list[list[int]], tokens: int
) -> float:
    async def one(row: list[int]) -> None:
        path, body = asked(name, " ".join(f"w{token}" for token in row), tokens)
        async with http.post(path, json=body) as response:
            data = await response.read()
            assert response.status == 200, data

    began = time.perf_counter()
    await asyncio.gather(*(one(row) for row in rows))
    return tokens * len(rows) / (time.perf_counter() - began)


async def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, object]]:
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mlxk", "serve", str(folder), "--port", "auto", "--json"),
        *("--log", str(folder.parent / "log.ndjson")),
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout
    try:
        url = json.loads(await server.stdout.readline())["data"]["url"]
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(url, connector=connector) as http:
            return await compared(http, server.pid, folder, options)
    finally:
        server.terminate()
        await server.wait()


async def compared(
    http: aiohttp.ClientSession, pid: int, folder: Path, options: argparse.Namespace
) -> list[dict[str, object]]:
    dice, found = random.Random(0), dict[tuple[int, str], list[tuple[float, float]]]()
    model, _ = load_model(folder)
    for turn in range(options.rounds + 1):
        for count in options.rows:
            rows = prompts(count, options.prompt, dice)
            for way in dice.sample(["raw", *options.formats], len(options.formats) + 1):
                before = time.process_time() if way == "raw" else cpu_s(pid)
                if way == "raw":
                    speed = raw(model, rows, options.tokens)
                else:
                    speed = await served(http, way, rows, options.tokens)
                spent = (time.process_time() if way == "raw" else cpu_s(pid)) - before
                if turn:  # the first round warms up
                    cost = spent / (count * options.tokens) * 1e6
                    found.setdefault((count, way), []).append((speed, cost))
    medians = {
        key: tuple(map(statistics.median, zip(*pairs, strict=True))) for key, pairs in found.items()
    }
    return [
        {
            "clients": rows,
            "way": way,
            "tokens_s": round(speed, 1),
            "of_raw": round(speed / medians[rows, "raw"][0], 3),
            "cpu_us_per_token": round(cost, 1),
        }
        for (rows, way), (speed, cost) in sorted(medians.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4, 16, 32])
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument(
        "--formats",
        nargs="+",
        default=["openai_chat", "openai_responses", "anthropic", "gemini"],
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        build(folder)
        config = {"chat_template": TEMPLATE}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        results = asyncio.run(measure(folder, options))
    print(json.dumps({"benchmark": "server_throughput", "results": results}, indent=2))


if __name__ == "__main__":
    main()
