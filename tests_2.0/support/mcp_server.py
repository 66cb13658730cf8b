"""A real MCP server: on stdio, or on HTTP at a port (with a key). Started by its file name."""

import os
import subprocess
import sys
import time
from pathlib import Path

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("support")


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
def variable(name: str) -> str:
    """The value of an environment variable."""
    return os.environ.get(name, "(none)")


@server.tool()
def fail() -> str:
    """Never works."""
    raise ToolError("it broke")


@server.tool()
async def nap(seconds: float) -> str:
    """Take a while."""
    import asyncio

    await asyncio.sleep(seconds)
    return "awake"


@server.tool()
def write(path: str) -> str:
    """Write a file, relative to where the server runs."""
    Path(path).write_text("by mcp\n")
    return f"wrote {path}"


@server.tool()
def breed(seconds: int) -> str:
    """Start a process that outlives the call."""
    subprocess.Popen(["sleep", str(seconds)])
    return "started"


@server.tool()
def shout() -> str:
    """Say 20 MiB on stderr; how much of it was kept where it went."""
    for _ in range(20):
        print("x" * (1 << 20), file=sys.stderr)
    return str(os.fstat(2).st_size)


@server.tool()
def die() -> str:
    """End the server in the middle of a call."""
    os._exit(3)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["http", port]:
            server.run(transport="streamable-http", host="127.0.0.1", port=int(port))
        case ["silent"]:
            time.sleep(60)
        case ["broken"]:
            sys.exit("cannot open the database")
        case _:
            server.run()
