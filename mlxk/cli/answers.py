"""Answers to permission questions: typed on the terminal, or lines of JSON on standard input."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument

if TYPE_CHECKING:
    from mlxk.agent.events import PermissionAsked
    from mlxk.agent.permissions import Answer


@asynccontextmanager
async def answers(source: str | None) -> AsyncGenerator["Answer | None", None]:
    """`terminal`, `jsonl`, or None: nobody answers. End of input refuses whatever is asked."""
    if source is None or sys.stdin is None:
        yield None
        return
    lines = _Lines()
    judge = _typed if source == "terminal" else _line

    async def answer(asked: "PermissionAsked") -> bool:
        while True:
            if source == "terminal":
                sys.stderr.write(f"{asked.name} {asked.about}\nallow? [y/N] ")
                sys.stderr.flush()
            line = await lines.next()
            if not line:
                return False
            if (verdict := judge(line, asked)) is not None:
                return verdict

    yield answer


class _Lines:
    """Standard input, line by line, from a thread of its own: files and /dev/null have no events.

    The thread is a daemon: a line that never comes does not keep the process.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._thread: threading.Thread | None = None

    async def next(self) -> str:
        """The next line, or nothing at the end of input."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, daemon=True, name="answers")
            self._thread.start()
        return await self._queue.get()

    def _read(self) -> None:
        # Not `sys.stdin`: a thread inside its buffer at the interpreter's end is a fatal error.
        pending = b""
        while chunk := os.read(0, 4096):
            *lines, pending = (pending + chunk).split(b"\n")
            self._hand_on(*(line + b"\n" for line in lines))
        self._hand_on(*filter(None, [pending]), b"")

    def _hand_on(self, *lines: bytes) -> None:
        with suppress(RuntimeError):  # the run has ended
            for line in lines:
                text = line.decode(errors="replace")
                self._loop.call_soon_threadsafe(self._queue.put_nowait, text)


def _typed(line: str, _: "PermissionAsked") -> bool:
    return line.strip().casefold() in ("y", "yes")


def _line(line: str, asked: "PermissionAsked") -> bool | None:
    """`{"type": "permission", "id": "call_1", "allow": true}`; other lines are passed over."""
    try:
        value = encoding.loads(line)
    except InvalidDocument:
        return None
    if not isinstance(value, dict) or value.get("id") != asked.id:
        return None
    return value.get("allow") is True
