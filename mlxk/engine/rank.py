"""One of several processes that are one engine, started by mlx.launch on this or other machines.

Started as `python -m mlxk.engine.rank SOCKET HOST BACKEND`. Rank 0 speaks to the parent through
the socket at that path, and to the other ranks at HOST.
"""

import logging
import os
import shutil
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlxk.engine.inbox import Queued
from mlxk.engine.loop import EngineLoop
from mlxk.engine.protocol import Load, Report, Turn
from mlxk.engine.team import Following, Leading, Team, gather, leave
from mlxk.engine.worker import Link, Pulse, attempt, die_with, first, preparing, serve

if TYPE_CHECKING:
    from mlxk.engine.shard import Shard
    from mlxk.engine.weights import Loaded


def main(argv: list[str]) -> None:
    began = time.monotonic()
    path, host, backend = argv
    rank = os.environ["MLX_RANK"]
    die_with(os.getppid())
    # mlx.launch spins while it could write to us, which is until it hears that nobody reads.
    os.close(sys.stdin.fileno())
    form = f"%(asctime)s rank {rank} %(levelname)s %(message)s"
    logging.basicConfig(level=logging.INFO, format=form)
    try:
        if rank == "0":
            _lead(path, host, backend, began)
        else:
            _follow(host, backend)
    except (OSError, RuntimeError) as e:
        leave(f"the ranks do not find each other: {e}")
    leave("over")


def _lead(path: str, host: str, backend: str, began: float) -> None:
    parent = socket.socket(socket.AF_UNIX)
    # A parent that was killed has left its folder behind.
    clean = partial(shutil.rmtree, Path(path).parent, ignore_errors=True)
    try:
        parent.connect(path)
    except OSError:
        clean()
        raise
    link = Link(parent, clean)
    inbox = Queued()
    pulse = Pulse(link)
    threading.Thread(target=link.receive, args=(inbox.put,), daemon=True).start()
    threading.Thread(target=pulse.run, daemon=True).start()
    load = first(inbox)
    shard = _joined(backend)
    team = Team(gather(shard, host), link.send)
    team.send(load, Turn())
    loaded = attempt(load, lambda each: _opened(each, shard), link)
    if loaded:
        serve(loaded, Leading(inbox, team), link, pulse, began, on_error=_end)


def _follow(host: str, backend: str) -> None:
    shard = _joined(backend)
    (to_leader,) = gather(shard, host)
    link, inbox = Link(to_leader), Following()
    threading.Thread(target=link.receive, args=(inbox.put,), daemon=True).start()
    if loaded := attempt(first(inbox), lambda each: _opened(each, shard), link):
        link.prepare = preparing(loaded)
        EngineLoop(loaded.runner, inbox, _silent, on_error=_end).run()


def _joined(backend: str) -> "Shard":
    """MLX is imported here, after rank 0's pulse has begun."""
    import mlx.core as mx  # noqa: PLC0415

    from mlxk.engine.shard import Shard  # noqa: PLC0415

    return Shard(mx.distributed.init(strict=True, backend=backend.partition("-")[0]))


def _opened(load: Load, shard: "Shard") -> "Loaded":
    from mlxk.engine.weights import load_runner  # noqa: PLC0415

    return load_runner(load, shard)


def _silent(_: Report) -> None:
    """Rank 0 says the same."""


def _end(error: Exception) -> None:
    """The others may be in the middle of the step that failed here."""
    logging.getLogger(__name__).error("a step failed", exc_info=error)
    leave("its step failed")


if __name__ == "__main__":
    main(sys.argv[1:])
