"""Lands a session and is killed at a chosen point.

python lander.py REPOSITORY HOME NAME POINT
"""

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from mlxk.history.copying import Copying
from mlxk.history.land import Order, land
from mlxk.history.record import find
from mlxk.history.refs import Refs
from mlxk.history.store import Store
from mlxk.history.target import Target

# What is done last.
POINTS = {
    "locked": (Target, "_take_lock"),
    "one file": (Copying, "replace"),
    "files": (Target, "_apply"),
    "index": (Target, "_write_index"),
    "moved": (Refs, "swap"),
    "published": (Target, "_publish"),
}


def main(repository, home, name, point):
    cls, method = POINTS[point]
    real = getattr(cls, method)

    def last(*args, **options):
        real(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(cls, method, last)
    with Store.open(Path(repository), Path(home)) as store:
        land(store, Order(find(store, name), "main", "Me <me@localhost>", datetime.now(UTC)))


if __name__ == "__main__":
    main(*sys.argv[1:])
