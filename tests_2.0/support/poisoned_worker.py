"""An engine process without MLX: the prompt (n, …) counts down from n; some numbers are deadly."""

import os
import signal
import sys
import time
from types import SimpleNamespace

from mlxk.engine import worker
from mlxk.engine.protocol import Step

KILLS, HANGS = 917, 913


class Countdown:
    archived = 0
    peak_bytes = 0
    reading = ()
    kv_bytes = 0

    def __init__(self):
        self.left = {}

    def has_room(self, job):
        return True

    def tidy(self):
        return False

    def crowded(self):
        return None

    def add(self, job):
        self.left[job.uid] = job.prompt[0] - len(job.made)

    def remove(self, uid):
        self.left.pop(uid, None)

    def step(self):
        time.sleep(0.002)
        if KILLS in self.left.values():
            os.kill(os.getpid(), signal.SIGKILL)
        if HANGS in self.left.values():
            time.sleep(1000)
        steps = [Step(uid, n, "stop" if n == 900 else None) for uid, n in self.left.items()]
        self.left = {uid: n - 1 for uid, n in self.left.items() if n > 900}
        return steps


def loaded(_load):
    return SimpleNamespace(runner=Countdown(), grammars=None, vocabulary=1000, token_bytes=0)


if __name__ == "__main__":
    worker.open_model = loaded
    worker.main(sys.argv[1:])
