"""What the HTTP side itself costs, with a model that costs nothing. Prints one JSON document.

CPU microseconds a streamed token in each format, CPU milliseconds a request, memory of idle
connections. The server is a process of its own, so that clients do not count.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp

from mlxk.chat.types import Event, Finish, Request, Start, TextDelta, Usage

TOKENS = 256
USER = [{"role": "user", "content": "hello"}]
FORMATS = {
    "openai_chat": ("/v1/chat/completions", {"model": "m", "messages": USER, "stream": True}),
    "openai_responses": (
        "/v1/responses",
        {"model": "m", "input": "hello", "stream": True, "store": False},
    ),
    "anthropic": (
        "/v1/messages",
        {"model": "m", "messages": USER, "max_tokens": 999, "stream": True},
    ),
    "gemini": (
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
    ),
}


class Free:
    """A model whose tokens cost nothing; each comes in a turn of the loop of its own."""

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        tokens = 1 if request.max_tokens == 1 else TOKENS
        yield Start("msg_1", request.model)
        for _ in range(tokens):
            await asyncio.sleep(0)
            yield TextDelta(" word")
        yield Finish("stop", Usage(9, tokens))


async def serve() -> None:
    from mlxk.server.app import listening, make_app
    from mlxk.server.state import ServerOptions

    async with listening(make_app({"m": Free()}, ServerOptions()), 0) as address:
        print(address.port, flush=True)
        await asyncio.Event().wait()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def read(http: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> None:
    async with http.post(path, json=body) as response:
        assert response.status == 200
        await response.read()


async def per_token_us(
    http: aiohttp.ClientSession, pid: int, clients: int, rounds: int = 4
) -> dict[str, float]:
    out: dict[str, float] = {}
    for name, (path, body) in FORMATS.items():
        await asyncio.gather(*(read(http, path, body) for _ in range(clients)))
        before = cpu_s(pid)
        for _ in range(rounds):
            await asyncio.gather(*(read(http, path, body) for _ in range(clients)))
        out[name] = round((cpu_s(pid) - before) / (rounds * clients * TOKENS) * 1e6, 1)
    return out


async def per_request_ms(http: aiohttp.ClientSession, pid: int, count: int = 300) -> float:
    path, body = FORMATS["openai_chat"]
    asked = body | {"stream": False, "max_tokens": 1}
    await asyncio.gather(*(read(http, path, asked) for _ in range(50)))
    before = cpu_s(pid)
    for _ in range(count):
        await read(http, path, asked)
    return round((cpu_s(pid) - before) / count * 1e3, 3)


async def idle_bytes(port: int, pid: int, count: int = 500) -> int:
    before = resident_bytes(pid)
    opened = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        opened.append(writer)
    grown = resident_bytes(pid) - before
    for writer in opened:
        writer.close()
    return grown


async def measure(clients: int) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--serve", stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout
    try:
        port = int(await child.stdout.readline())
        connector = aiohttp.TCPConnector(limit=0)
        base = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession(base, connector=connector) as http:
            return {
                "benchmark": "server_overhead",
                "clients": clients,
                "tokens_per_answer": TOKENS,
                "cpu_us_per_token": await per_token_us(http, child.pid, clients),
                "cpu_ms_per_request": await per_request_ms(http, child.pid),
                "idle_connections": 500,
                "idle_bytes": await idle_bytes(port, child.pid),
            }
    finally:
        child.kill()
        await child.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--clients", type=int, default=16)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
    else:
        print(json.dumps(asyncio.run(measure(arguments.clients)), indent=2))
