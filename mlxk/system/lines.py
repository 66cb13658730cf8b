"""Input line by line for asynchronous code: terminals, pipes and files alike."""

import asyncio
import os
import threading
from contextlib import suppress


class Lines:
    """Read by a thread of its own, because files and /dev/null have no events, and only when asked:
    between two lines somebody else may read the terminal.

    The thread is a daemon: a line that never comes does not keep the process.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._wanted = threading.Semaphore(0)
        self._thread: threading.Thread | None = None

    async def next(self) -> str:
        """The next line with its line feed, or nothing at the end of input."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, daemon=True, name="lines")
            self._thread.start()
        if self._queue.empty():
            self._wanted.release()
        return await self._queue.get()

    def _read(self) -> None:
        # Not `sys.stdin`: a thread inside its buffer at the interpreter's end is a fatal error.
        pending = b""
        while chunk := self._chunk():
            *lines, pending = (pending + chunk).split(b"\n")
            self._hand_on(*(line + b"\n" for line in lines))
            if not lines:
                self._wanted.release()
        self._hand_on(*filter(None, [pending]), b"")
        while True:
            self._wanted.acquire()
            self._hand_on(b"")

    def _chunk(self) -> bytes:
        self._wanted.acquire()
        try:
            return os.read(self._descriptor, 4096)
        except OSError:  # a terminal that has gone
            return b""

    def _hand_on(self, *lines: bytes) -> None:
        with suppress(RuntimeError):  # the run has ended
            for line in lines:
                text = line.decode(errors="replace")
                self._loop.call_soon_threadsafe(self._queue.put_nowait, text)
