"""The Lsp tool: what a language server knows of the code. The server is one that is installed."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlxk.agent.confine import Confinement
from mlxk.agent.language_server import LanguageServer, ServerEnded, ServerRefused
from mlxk.agent.tools.base import (
    AgentTool,
    Context,
    Result,
    ToolError,
    clipped,
    count,
    schema,
    text,
)
from mlxk.chat.types import Tool
from mlxk.contract.errors import UnsafePath

NAME = "Lsp"
_LARGEST = 4 << 20
_MOST = 200
_SEVERITIES = {1: "error", 2: "warning", 3: "information", 4: "hint"}
_TYPESCRIPT = (("typescript-language-server", "--stdio"),)
_C = (("clangd",),)
SERVERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    ".py": (("pyright-langserver", "--stdio"), ("basedpyright-langserver", "--stdio"), ("pylsp",)),
    **dict.fromkeys((".ts", ".tsx", ".js", ".jsx"), _TYPESCRIPT),
    **dict.fromkeys((".c", ".h", ".cc", ".cpp", ".hpp"), _C),
    ".go": (("gopls",),),
    ".rs": (("rust-analyzer",),),
}


@asynccontextmanager
async def opened(
    confinement: Confinement, root: Path, named: Mapping[str, tuple[str, ...]]
) -> AsyncGenerator[AgentTool, None]:
    """The tool; its servers start when they are asked and end with the block. `named` servers,
    by suffix, go before ours."""
    servers = _Servers(confinement, root, named)
    try:
        yield AgentTool(SPEC, servers.run, reads_only=True)
    finally:
        await servers.close()


class _Servers:
    def __init__(
        self, confinement: Confinement, root: Path, named: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._confinement = confinement
        self._root = root
        self._named = named
        self._running: dict[tuple[str, ...], LanguageServer] = {}
        self._one_at_a_time = asyncio.Lock()

    async def close(self) -> None:
        await asyncio.gather(*(server.close() for server in self._running.values()))

    async def run(self, arguments: dict[str, Any], context: Context) -> Result:
        seconds = context.limits.timeout_s
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(seconds):
                    return await self._ask(arguments, context)
            except TimeoutError as e:
                raise ToolError(f"the language server took longer than {seconds:g} s") from e
            except (ServerEnded, ServerRefused) as e:
                raise ToolError(str(e)) from e
            except (LookupError, TypeError, AttributeError) as e:
                raise ToolError(f"the language server's answer cannot be read: {e}") from e

    async def _ask(self, arguments: dict[str, Any], context: Context) -> Result:
        workspace, name = context.workspace, arguments["path"]
        source = workspace.read(name, _LARGEST).decode(errors="replace")
        path, action = workspace.resolve(name), arguments["action"]
        if not context.shows(workspace.relative(path)):
            raise ToolError(f"{name} may not be read")
        if action == "diagnostics":
            server = await self._server(path.suffix)
            found = await server.diagnostics(path, source)
            lines = [_problem(workspace.relative(path), item) for item in found[:_MOST]]
            nothing = "No problems."
        else:
            at = _position(source, arguments)
            server = await self._server(path.suffix)
            places = await server.places(action, path, source, at)
            lines = [_place(context, item) for item in places[:_MOST]]
            nothing = "Nothing found."
        output = clipped("\n".join(lines), context.limits.output_bytes, "ask about less")
        return Result(output or nothing)

    async def _server(self, suffix: str) -> LanguageServer:
        argv = self._command(suffix)
        known = self._running.get(argv)
        if known is not None and not known.has_ended:
            return known
        if known is not None:
            await known.close()
        self._running[argv] = await LanguageServer.start(argv, self._root, self._confinement)
        return self._running[argv]

    def _command(self, suffix: str) -> tuple[str, ...]:
        named = self._named.get(suffix)
        candidates = (named,) if named else SERVERS.get(suffix, ())
        places = os.pathsep.join((os.environ.get("PATH", ""), str(Path(sys.executable).parent)))
        for program, *rest in candidates:
            if found := shutil.which(program, path=places):
                return (found, *rest)
        tried = ", ".join(program for program, *_ in candidates) or "none is known"
        raise ToolError(f"no language server for {suffix or 'such'} files here ({tried})")


def _position(source: str, arguments: dict[str, Any]) -> tuple[int, int]:
    """Line and column from 0, in the protocol's own units."""
    lines, number = source.split("\n"), arguments.get("line", 0)
    symbol = arguments.get("symbol", "")
    if not symbol:
        raise ToolError("name the symbol, and the line if it occurs on several")
    near = range(len(lines)) if not number else range(number - 1, min(number, len(lines)))
    for n in near:
        if (column := lines[n].find(symbol)) >= 0:
            return n, len(lines[n][:column].encode("utf-16-le", "replace")) // 2
    where = f"on line {number}" if number else "in the file"
    raise ToolError(f"{symbol!r} is not {where}")


def _problem(path: str, item: dict[str, Any]) -> str:
    line = item["range"]["start"]["line"] + 1
    return f"{path}:{line}: {_SEVERITIES.get(item.get('severity', 1))}: {item['message']}"


def _place(context: Context, item: dict[str, Any]) -> str:
    """With the line itself, when the file is in the worktree and may be read."""
    workspace = context.workspace
    uri = item.get("uri") or item["targetUri"]
    line = (item.get("range") or item["targetSelectionRange"])["start"]["line"]
    path = Path(unquote(urlsplit(uri).path))
    try:
        inside = workspace.relative(workspace.resolve(str(path)))
        if not context.shows(inside):
            return f"{inside}:{line + 1}"
        lines = workspace.read(inside, _LARGEST).decode(errors="replace").split("\n")
    except (UnsafePath, OSError):
        return f"{path}:{line + 1}"
    return f"{inside}:{line + 1}: {lines[line].strip() if line < len(lines) else ''}"


SPEC = Tool(
    NAME,
    "Ask a language server: what is wrong in a file, where a symbol is defined or used.",
    schema(
        ("action", "path"),
        action={"enum": ["diagnostics", "definition", "references"]},
        path=text("File, relative to the worktree."),
        symbol=text("For definition and references: a name in that file."),
        line=count("The line on which the symbol stands."),
    ),
)
