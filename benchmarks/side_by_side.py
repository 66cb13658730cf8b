"""Our server beside others: streaming chat of one tiny random model, rounds interleaved, medians.

Prints one JSON document. Every server is given as NAME=COMMAND with {model} and {port}:

    python benchmarks/side_by_side.py \\
      --server 'mlx_lm.server=VENV/bin/mlx_lm.server --model {model} --port {port}' \\
      --server 'vllm-mlx=VENV/bin/vllm-mlx serve {model} --port {port} --continuous-batching'

The Linux wheel of MLX links a reference BLAS, with which a batch gains nothing: run this with an
OpenBLAS in LD_PRELOAD and OPENBLAS_NUM_THREADS=1, which all servers inherit. On a machine that
others use, CPU time a token says more than the clock; both are told, and how idle it was.
"""

import argparse
import asyncio
import json
import os
import random
import re
import shlex
import statistics
import sys
import tempfile
import time
from bisect import bisect_left
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from engine_throughput import VOCABULARY, build
from tokenizers import AddedToken, Tokenizer, decoders

from mlxk.system.network import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

OURS = "mlxk=" + sys.executable + " -m mlxk serve {model} --port {port} --log /dev/null"
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"
END = "</s>"
PREFIX, TAIL = 1500, 40
EVENT = re.compile(rb"^data: (.*?)\r?\n", re.MULTILINE)
HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
QUIET = 0.75


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    pid: int
    port: int
    model: str


@dataclass(frozen=True, slots=True)
class Answer:
    """When each piece of text came, in seconds after the request; what the server counted."""

    moments: tuple[float, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Round:
    tokens_s: float
    ttft_s: float
    gap_p50_s: float
    gap_p95_s: float
    cpu_us_per_token: float
    idle: float


def ready_to_chat(folder: Path) -> None:
    """Its end token is beyond what it can say: every answer has the full length."""
    path = str(folder / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    tokenizer.decoder = decoders.ByteLevel()  # the kind that every detokenizer streams well
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    tokenizer.save(path)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": TEMPLATE,
        "eos_token": END,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def words(count: int, dice: random.Random) -> str:
    return " ".join(f"w{dice.randrange(VOCABULARY)}" for _ in range(count))


@asynccontextmanager
async def running(named: str, folder: Path, home: Path) -> "AsyncGenerator[Server, None]":
    """In a session of its own, so that the scheduler shares the machine fairly between them."""
    name, _, line = named.partition("=")
    port = free_port("127.0.0.1")
    argv = [word.format(model=folder, port=port) for word in shlex.split(line)]
    env = {**os.environ, "MLXK_HOME": str(home), "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "1"}
    log = (home / f"{name}.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=log, stderr=log, env=env, start_new_session=True
    )
    try:
        async with asyncio.timeout(300), aiohttp.ClientSession() as http:
            while (model := await _model(http, port, folder)) is None:
                if process.returncode is not None:
                    raise RuntimeError((home / f"{name}.log").read_text()[-2000:])
                await asyncio.sleep(0.5)
        yield Server(name, process.pid, port, model)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _model(http: aiohttp.ClientSession, port: int, folder: Path) -> str | None:
    """The name to ask for, as soon as a token can be made."""
    try:
        async with http.get(f"http://127.0.0.1:{port}/v1/models") as reply:
            told = await reply.json() if reply.status == 200 else None
        rows = (told or {}).get("data") or []
        name = next((row["id"] for row in rows if folder.name in row["id"]), str(folder))
        await ask(Server("", 0, port, name), "w1 w2", 2)
    except (aiohttp.ClientError, OSError, RuntimeError, ValueError):
        return None
    return name


class Listener(asyncio.Protocol):
    """Notes when bytes came and looks at them afterwards: what a client does with each of them
    is time that the servers lack.
    """

    def __init__(self) -> None:
        self.came: list[tuple[float, bytes]] = []
        self.is_over = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.came.append((time.perf_counter(), data))

    def connection_lost(self, error: Exception | None) -> None:
        self.is_over.set_result(error)

    def events(self) -> "Iterator[tuple[float, bytes]]":
        """Server-sent events, and when their last byte was there."""
        text = b"".join(data for _, data in self.came)
        ends = list(accumulate(len(data) for _, data in self.came))
        for found in EVENT.finditer(text):
            yield self.came[bisect_left(ends, found.end())][0], found[1]


async def ask(server: Server, text: str, tokens: int) -> Answer:
    body = {
        "model": server.model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    data = json.dumps(body).encode()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    transport, listener = await loop.create_connection(Listener, "127.0.0.1", server.port)
    transport.write(HEAD % (server.port, len(data)) + data)
    await listener.is_over
    moments: list[float] = []
    made = 0
    for moment, event in listener.events():
        if b'"content"' in event and b'"content":""' not in event.replace(b" ", b""):
            moments.append(moment - began)
        if b'"completion_tokens"' in event:
            usage = json.loads(event).get("usage") or {}
            made = usage.get("completion_tokens", 0)
    if not moments:
        raise RuntimeError(f"{server.name} answers {listener.came[:1]}")
    return Answer(tuple(moments), made)


async def together(server: Server, clients: int, options: argparse.Namespace) -> Round:
    dice = random.Random(time.time_ns())
    texts = [words(options.prompt, dice) for _ in range(clients)]
    idle = await quiet(options.patience)
    spent, began = cpu_s(server.pid), time.perf_counter()
    asked = (ask(server, text, options.tokens) for text in texts)
    answers = await asyncio.gather(*asked)
    seconds, spent = time.perf_counter() - began, cpu_s(server.pid) - spent
    made = sum(answer.tokens for answer in answers)
    assert made == clients * options.tokens, (server.name, made)
    gaps = sorted(b - a for answer in answers for a, b in pairwise(answer.moments))
    return Round(
        tokens_s=made / seconds,
        ttft_s=statistics.median(answer.moments[0] for answer in answers),
        gap_p50_s=gaps[len(gaps) // 2],
        gap_p95_s=gaps[int(len(gaps) * 0.95)],
        cpu_us_per_token=spent / made * 1e6,
        idle=idle,
    )


async def reuse(server: Server, options: argparse.Namespace) -> tuple[float, float]:
    """The first token of a new prompt, and of one that begins like it."""
    dice = random.Random(time.time_ns())
    prefix = words(PREFIX, dice)
    await quiet(options.patience)
    cold = await ask(server, prefix, 2)
    await asyncio.sleep(0.5)
    warm = await ask(server, f"{prefix} {words(TAIL, dice)}", 2)
    return cold.moments[0], warm.moments[0]


async def quiet(patience_s: float) -> float:
    """Wait, not for ever, until the machine is idle; how idle it was at last."""
    end = time.monotonic() + patience_s
    while True:
        before = _idle_s()
        await asyncio.sleep(0.5)
        share = (_idle_s() - before) / 0.5 / (os.cpu_count() or 1)
        if share >= QUIET or time.monotonic() > end:
            return round(min(share, 1.0), 2)


def _idle_s() -> float:
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(fields[4]) / os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Of a process and all its descendants."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    spent = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = (p.read_text().split() for p in Path(f"/proc/{pid}/task").glob("*/children"))
    return spent + sum(cpu_s(int(child)) for row in children for child in row)


async def measure(folder: Path, home: Path, options: argparse.Namespace) -> dict[str, Any]:
    rounds: dict[tuple[int, str], list[Round]] = {}
    firsts: dict[str, list[tuple[float, float]]] = {}
    async with AsyncExitStack() as stack:
        names = [OURS, *options.server]
        servers = [await stack.enter_async_context(running(n, folder, home)) for n in names]
        for turn in range(options.rounds + 1):
            for clients in options.clients:
                for server in random.sample(servers, len(servers)):
                    found = await together(server, clients, options)
                    if turn:  # the first round warms up
                        rounds.setdefault((clients, server.name), []).append(found)
            for server in random.sample(servers, len(servers)):
                pair = await reuse(server, options)
                if turn:
                    firsts.setdefault(server.name, []).append(pair)
            print(f"round {turn} of {options.rounds}", file=sys.stderr, flush=True)
    return {"throughput": table(rounds), "prefix": prefixes(firsts)}


def table(rounds: dict[tuple[int, str], list[Round]]) -> list[dict[str, Any]]:
    """Medians; `ours_over` is the median of the ratios within rounds."""
    rows = []
    for (clients, name), found in sorted(rounds.items()):
        medians = {
            field: round(statistics.median(getattr(each, field) for each in found), 4)
            for field in Round.__slots__
        }
        ours = rounds[clients, "mlxk"]
        speeds = [a.tokens_s / b.tokens_s for a, b in zip(ours, found, strict=True)]
        costs = [b.cpu_us_per_token / a.cpu_us_per_token for a, b in zip(ours, found, strict=True)]
        rows.append(
            {
                "clients": clients,
                "server": name,
                **medians,
                "ours_over": round(statistics.median(speeds), 2),
                "ours_over_by_cpu": round(statistics.median(costs), 2),
            }
        )
    return rows


def prefixes(firsts: dict[str, list[tuple[float, float]]]) -> list[dict[str, Any]]:
    return [
        {
            "server": name,
            "cold_ttft_s": round(statistics.median(cold for cold, _ in pairs), 4),
            "new_tail_ttft_s": round(statistics.median(warm for _, warm in pairs), 4),
            "ratio": round(statistics.median(warm / cold for cold, warm in pairs), 3),
        }
        for name, pairs in sorted(firsts.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--server", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--model", type=Path, help="A folder of engine_gpu.py; it is changed.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 32])
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--patience", type=float, default=10, help="Longest wait for quiet (s).")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model or Path(scratch) / "tiny-random"
        if options.model is None:
            build(folder)
        ready_to_chat(folder)
        results = asyncio.run(measure(folder, Path(scratch), options))
    head = {"benchmark": "side_by_side", "cores": os.cpu_count(), "rounds": options.rounds}
    print(json.dumps({**head, "preload": os.environ.get("LD_PRELOAD"), **results}, indent=2))


if __name__ == "__main__":
    main()
