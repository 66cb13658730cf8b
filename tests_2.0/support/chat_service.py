"""A server that says `Hello world` in every format: `python chat_service.py PORT MODE_FILE`.

Modes: good, slow (a minute between the words), exit (ends at once with 3).
"""

import asyncio
import sys
from pathlib import Path

from scripted import HELLO, Scripted

from mlxk.server.app import listening, make_app
from mlxk.server.state import ServerOptions


async def main():
    options = ServerOptions(aliases={"*": "own-name"})
    app = make_app({"own-name": Scripted(turn())}, options)
    async with listening(app, int(sys.argv[1])):
        await asyncio.Event().wait()


def turn():
    mode = Path(sys.argv[2]).read_text().strip()
    if mode == "exit":
        sys.exit(3)
    return (*HELLO[:2], 60.0, *HELLO[2:]) if mode == "slow" else HELLO


asyncio.run(main())
