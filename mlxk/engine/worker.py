"""The engine process: one model, one thread that owns MLX, one socket. Knows token ids only.

Started as `python -m mlxk.engine.worker FD PARENT_PID`. The socket's end is the end of the
process, whatever it is doing; nothing is ever written to stdout.
"""

import ctypes
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mlxk.contract.errors import MlxkError
from mlxk.engine.inbox import Inbox, Queued, asleep
from mlxk.engine.loop import EngineLoop, kind_of
from mlxk.engine.protocol import (
    Add,
    Beat,
    Command,
    Decoder,
    Load,
    Raised,
    Ready,
    Report,
    Unloadable,
    encode,
)

if TYPE_CHECKING:
    from mlxk.engine.batch import BatchRunner
    from mlxk.engine.weights import Loaded

Figures = tuple[int, int, tuple[tuple[int, int], ...], int]

BEAT_S = 1.0
_PR_SET_PDEATHSIG = 1
# Whoever else waits for us must not take this for a success.
_ORPHANED = 1


def main(argv: list[str]) -> None:
    began = time.monotonic()
    link = Link(socket.socket(fileno=int(argv[0])))
    die_with(int(argv[1]))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    inbox = Queued()
    threading.Thread(target=link.receive, args=(inbox.put,), daemon=True).start()
    pulse = Pulse(link)
    threading.Thread(target=pulse.run, daemon=True).start()
    if loaded := attempt(first(inbox), open_model, link):
        serve(loaded, inbox, link, pulse, began)
    # Destructors of a device have hung processes before; nothing here needs them.
    os._exit(0)


def first(inbox: Inbox) -> Load:
    (load,) = inbox.take(asleep)
    assert isinstance(load, Load)
    return load


def attempt(load: Load, opening: Callable[[Load], "Loaded"], link: "Link") -> "Loaded | None":
    try:
        return opening(load)
    except Exception as e:  # the thread that owns MLX reports whatever it throws
        logging.getLogger(__name__).error("cannot load %s", load.folder, exc_info=e)
        link.send(Unloadable(load_failure(e), f"{type(e).__name__}: {e}"))
        return None


def serve(
    loaded: "Loaded",
    inbox: Inbox,
    link: "Link",
    pulse: "Pulse",
    began: float,
    *,
    on_error: Callable[[Exception], None] = lambda _error: None,
) -> None:
    link.prepare = preparing(loaded)
    link.send(Ready(loaded.vocabulary, loaded.token_bytes, time.monotonic() - began))
    loop = EngineLoop(loaded.runner, inbox, link.send, around_step=pulse.mark, on_error=on_error)
    pulse.watch(loop, lambda: _figures(loaded.runner))
    loop.run()


def _figures(runner: "BatchRunner") -> Figures:
    return runner.archived, runner.peak_bytes, runner.reading, runner.kv_bytes


def open_model(load: Load) -> "Loaded":
    """MLX and the weights: imported here, so that the socket is served while that takes time."""
    from mlxk.engine.weights import load_runner  # noqa: PLC0415

    return load_runner(load)


def preparing(loaded: "Loaded") -> Callable[[Command], None]:
    """Grammars are compiled by the thread that reads them, not by the one that makes tokens."""

    def prepare(command: Command) -> None:
        if isinstance(command, Add) and (text := command.job.grammar):
            # What cannot be compiled is met again, and reported, when its request begins.
            with suppress(ValueError, OSError, MlxkError):
                loaded.grammars.matcher(text, command.job.stop)

    return prepare


def load_failure(error: Exception) -> str:
    if isinstance(error, ValueError) and "not supported" in str(error):
        return "runtime_incompatible"
    if isinstance(error, ImportError):
        return "engine_missing"
    return "out_of_memory" if kind_of(error) == "out_of_memory" else "model_unhealthy"


class Link:
    """The socket to the parent, whose end is ours. Two threads write: the loop and the pulse."""

    def __init__(self, sock: socket.socket, at_end: Callable[[], object] = lambda: None) -> None:
        self._socket = sock
        self._at_end = at_end
        self._writing = threading.Lock()
        self.prepare: Callable[[Any], None] = lambda _command: None

    def send(self, report: Report | Raised) -> None:
        frame = encode(report)
        with self._writing:
            try:
                self._socket.sendall(frame)
            except OSError:
                self._leave()

    def receive(self, put: Callable[[Any], None]) -> None:
        decoder = Decoder()
        while data := self._read():
            for command in decoder.feed(data):
                self.prepare(command)
                put(command)
        self._leave()

    def _leave(self) -> None:
        self._at_end()
        os._exit(_ORPHANED)

    def _read(self) -> bytes:
        with suppress(OSError):
            return self._socket.recv(1 << 16)
        return b""


class Pulse:
    """Says once a second that the process lives, and for how long its step has been running."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop: EngineLoop | None = None
        self._figures: Callable[[], Figures] = lambda: (0, 0, (), 0)
        self._step_began: float | None = None

    def watch(self, loop: EngineLoop, figures: Callable[[], Figures]) -> None:
        self._loop, self._figures = loop, figures

    def mark(self, busy: bool) -> None:
        self._step_began = time.monotonic() if busy else None

    def run(self) -> None:
        while True:
            self._link.send(self._beat())
            time.sleep(BEAT_S)

    def _beat(self) -> Beat:
        began, loop = self._step_began, self._loop
        age = 0.0 if began is None else time.monotonic() - began
        if loop is None:
            return Beat(0, 0, age)
        return Beat(loop.active, loop.queued, age, *self._figures())


def die_with(parent: int) -> None:
    """Linux kills us when the parent dies, even while MLX holds every thread; then look once
    whether that has happened already. Elsewhere the socket's end must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
