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
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlxk.engine.inbox import Queued
from mlxk.engine.loop import EngineLoop
from mlxk.engine.protocol import Load, Report
from mlxk.engine.team import PATIENCE_S, Following, Leading, Team, gather, leave
from mlxk.engine.worker import Link, Pulse, attempt, die_with, first, preparing, serve

if TYPE_CHECKING:
    from mlxk.engine.shard import Shard
    from mlxk.engine.weights import Loaded

# What no sum of a model's layers is likely to look like.
_IN_STEP = 0x5CA1AB1E


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
    shard = _joined(backend)
    leading = Leading(inbox, Team(gather(shard, host), link.send))
    if loaded := attempt(first(leading), lambda each: _opened(each, shard), link):
        on_error = partial(_compare, leading, shard)
        serve(loaded, leading, link, pulse, began, on_error=on_error)


def _follow(host: str, backend: str) -> None:
    shard = _joined(backend)
    (to_leader,) = gather(shard, host)
    link = Link(to_leader)
    inbox = Following(link.send)
    threading.Thread(target=link.receive, args=(inbox.put,), daemon=True).start()
    if loaded := attempt(first(inbox), lambda each: _opened(each, shard), link):
        link.prepare = preparing(loaded)
        on_error = partial(_compare, inbox, shard)
        EngineLoop(loaded.runner, inbox, _silent, on_error=on_error).run()


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


def _compare(inbox: Leading | Following, shard: "Shard", error: Exception) -> None:
    """All ranks may go on after an error that is the same everywhere: by what they say, and by what
    they have begun together, which must have come to its end."""
    inbox.has_raised(_place(error))
    end = threading.Timer(PATIENCE_S, leave, ["the ranks are out of step"])
    end.daemon = True
    end.start()
    if shard.each([_IN_STEP]) != [(_IN_STEP,) * shard.ranks]:
        leave("the ranks are out of step")
    end.cancel()


def _place(error: Exception) -> str:
    lines = (f"{f.name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__))
    return " ".join((*lines, repr(error)))


if __name__ == "__main__":
    main(sys.argv[1:])
