"""mlxk as users start it: a process with a real engine."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from urllib.request import Request, urlopen

import orjson

MLXK = [sys.executable, "-m", "mlxk"]


class Server:
    """`mlxk serve … --json`: `envelope` is what it printed when it was ready."""

    def __init__(self, *argv, env=None):
        self._errors = TemporaryFile()  # noqa: SIM115 -- lives as long as the server
        self.process = subprocess.Popen(
            [*MLXK, "serve", *argv, "--json"],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=env,
        )

    def ready(self):
        line = self.process.stdout.readline()
        self.envelope = orjson.loads(line) if line else None
        assert self.envelope, self.errors()
        data = self.envelope["data"]
        self.url = data["url"] if data else None
        return self

    def get(self, path):
        with urlopen(f"{self.url}{path}", timeout=10) as response:
            return orjson.loads(response.read())

    def post(self, path, body):
        """An open response: iterate over its lines."""
        headers = {"Content-Type": "application/json"}
        return urlopen(Request(f"{self.url}{path}", orjson.dumps(body), headers), timeout=30)

    def send(self, number):
        self.process.send_signal(number)

    def ended(self, within=10.0):
        """The exit code; what else it printed is in `stdout`."""
        self.stdout, _ = self.process.communicate(timeout=within)
        return self.process.returncode

    def errors(self):
        self._errors.seek(0)
        return self._errors.read().decode()

    def children(self):
        """Pids of all descendants, as long as they are not reaped."""
        return descendants(self.process.pid)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired, ValueError):
            self.process.communicate(timeout=10)
        self._errors.close()


def descendants(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found


def gone(pids, within=5.0):
    """Whether none of the processes is alive any more."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if not any(_alive(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def _alive(pid):
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (ProcessLookupError, FileNotFoundError):
        return False
