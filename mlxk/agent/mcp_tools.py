"""Tools of MCP servers, through the official SDK: the only module that knows it.

Each server is held by a task of its own, because the SDK's scopes must be left where they were
entered. A server that ends or hangs costs a call its result and the run nothing else.
"""

import asyncio
import logging
import os
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import httpx2
import mcp
from mcp import types
from mcp.client.streamable_http import streamable_http_client

from mlxk.agent.confine import leashed
from mlxk.agent.redact import redacted
from mlxk.agent.settings import McpServer
from mlxk.agent.tools.base import AgentTool, Context, Result, ToolError, clipped
from mlxk.chat.types import Tool
from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument, StartFailed
from mlxk.contract.notes import note
from mlxk.contract.validate import compiled
from mlxk.system.process import child_environment

# Its log lines, tracebacks included, would go to a person's terminal.
logging.getLogger("mcp").addHandler(logging.NullHandler())

_START_S = 30.0
_END_S = 8.0
_MOST_PAGES = 20
_LONGEST_DESCRIPTION = 1000
_WORDS_BYTES = 16 << 10
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@asynccontextmanager
async def opened(
    servers: Sequence[McpServer], folder: Path, env: Mapping[str, str] = os.environ
) -> AsyncGenerator[tuple[AgentTool, ...], None]:
    """The tools of all `servers`, whose commands run in `folder` and end with the block.

    InvalidValue for a variable that is not set; StartFailed.
    """
    known = [server.variables(env) for server in servers]
    connections = [_Connection(s, folder, v) for s, v in zip(servers, known, strict=True)]
    try:
        found = await asyncio.gather(*(connection.open() for connection in connections))
        yield tuple(tool for tools in found for tool in tools)
    finally:
        await asyncio.gather(*(connection.close() for connection in connections))


class _Connection:
    """`secrets` are the variables that this server may know; no text of its brings them back."""

    def __init__(self, server: McpServer, folder: Path, secrets: Mapping[str, str]) -> None:
        self._server = server
        self._folder = folder
        self._secrets = secrets
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._listed: asyncio.Future[list[types.Tool]] = asyncio.Future()
        self._stderr = _LastWords()

    async def open(self) -> list[AgentTool]:
        self._task = asyncio.create_task(self._hold())
        first = asyncio.FIRST_COMPLETED
        waited: set[asyncio.Future[Any]] = {self._task, self._listed}
        await asyncio.wait(waited, timeout=_START_S, return_when=first)
        if not self._listed.done():
            why = self._end() if self._task.done() else f"no answer in {_START_S:g} s"
            raise StartFailed(f"the MCP server {self._server.name!r} did not start: {why}")
        return [tool for listed in self._listed.result() if (tool := self._offered(listed))]

    async def close(self) -> None:
        """Its processes end: asked first, then forced."""
        self._over.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_END_S)
            self._task.cancel()
            await asyncio.wait({self._task})
        self._stderr.close()

    async def _hold(self) -> None:
        async with AsyncExitStack() as stack:
            opening = _client(self._server, self._folder, self._secrets, stack, self._stderr.file)
            self._client = await opening
            self._listed.set_result(await _all_tools(self._client))
            await self._over.wait()

    def _end(self) -> str:
        """Why it is no more: its last words, else what the SDK says."""
        error = self._task.exception() if self._task else None
        last = self._stderr.line() or str(_cause(error) if error else "")
        return self._without_secrets(last) or "it ended"

    def _offered(self, listed: types.Tool) -> AgentTool | None:
        """None, and a warning, for a tool that no model could call."""
        name = f"mcp__{self._server.name}__{listed.name}"
        if self._server.tools is not None and listed.name not in self._server.tools:
            return None
        try:
            compiled(listed.input_schema)
        except InvalidDocument as e:
            note("mcp_tool", f"{name} is left out: {e}")
            return None
        if not _NAME.fullmatch(name):
            note("mcp_tool", f"{name!r} is left out: 64 letters, digits, _ and - at most")
            return None
        description = (listed.description or "")[:_LONGEST_DESCRIPTION]

        async def run(arguments: dict[str, Any], context: Context) -> Result:
            return await self._call(listed.name, arguments, context)

        return AgentTool(Tool(name, description, listed.input_schema), run, about=_about)

    async def _call(self, name: str, arguments: dict[str, Any], context: Context) -> Result:
        seconds = self._server.timeout_s or context.limits.timeout_s
        asking = asyncio.create_task(self._client.call_tool(name, arguments))
        waited = {asking, self._task} if self._task else {asking}
        try:
            await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_done = asking.done()
            asking.cancel()
        if not is_done:
            if self._task and self._task.done():
                raise ToolError(f"the MCP server {self._server.name!r} has ended: {self._end()}")
            raise ToolError(f"{name} timed out after {seconds:g} s")
        if error := asking.exception():
            raise ToolError(self._without_secrets(f"{name}: {_cause(error)}"))
        text = self._without_secrets(_text(asking.result()))
        text = clipped(text, context.limits.output_bytes, "ask for less")
        if asking.result().is_error:
            raise ToolError(text)
        return Result(text or "(no output)", None)

    def _without_secrets(self, text: str) -> str:
        for value in self._secrets.values():
            text = text.replace(value, "[redacted]")
        return redacted(text)


class _LastWords:
    """What a server said last on stderr: the pipe is emptied as it fills, and no more is kept."""

    def __init__(self) -> None:
        self._read_end, write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self.file = os.fdopen(write_end, "w")
        self._said = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_end, self._take)

    def line(self) -> str:
        self._take()
        lines = self._said.decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        self._loop.remove_reader(self._read_end)
        os.close(self._read_end)
        self.file.close()

    def _take(self) -> None:
        with suppress(BlockingIOError):
            self._said = (self._said + os.read(self._read_end, 1 << 16))[-_WORDS_BYTES:]


async def _client(
    server: McpServer,
    folder: Path,
    secrets: Mapping[str, str],
    stack: AsyncExitStack,
    stderr: TextIO,
) -> mcp.Client:
    if server.url is not None:
        key = next(iter(secrets.values()), None)
        http = await stack.enter_async_context(
            httpx2.AsyncClient(
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=httpx2.Timeout(_START_S, read=None),
            )
        )
        transport = streamable_http_client(server.url, http_client=http)
    else:
        command, *args = leashed(server.command)
        env = child_environment() | dict(secrets)
        parameters = mcp.StdioServerParameters(command=command, args=args, env=env, cwd=folder)
        transport = mcp.stdio_client(parameters, errlog=stderr)
    return await stack.enter_async_context(mcp.Client(transport))


async def _all_tools(client: mcp.Client) -> list[types.Tool]:
    page = await client.list_tools()
    tools = list(page.tools)
    for _ in range(_MOST_PAGES):
        if page.next_cursor is None:
            break
        page = await client.list_tools(cursor=page.next_cursor)
        tools += page.tools
    return tools


def _text(result: types.CallToolResult) -> str:
    """What can be read of a result; the rest is named."""
    parts = list[str]()
    for block in result.content:
        match block:
            case types.TextContent(text=text):
                parts.append(text)
            case types.EmbeddedResource(resource=types.TextResourceContents(text=text)):
                parts.append(text)
            case types.ResourceLink(uri=uri):
                parts.append(str(uri))
            case _:
                parts.append(f"[{block.type} left out: it is not text]")
    if not parts and result.structured_content is not None:
        return encoding.dumps(result.structured_content).decode()
    return "\n".join(parts)


def _about(arguments: dict[str, Any], _: object) -> str:
    """What a permission rule sees. Paths in it are the server's own affair."""
    return encoding.dumps(arguments).decode()[:200]


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
