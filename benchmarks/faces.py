"""What the full screen costs: CPU until its first paint, and how soon a key is seen.

Prints one JSON document. CPU seconds are user + system of the process until the first words are on
the terminal; a bare interpreter is the baseline. The delay of a key is from writing it into the
pseudo-terminal to reading it back, at rest and while ten megabytes of output pour in.
"""

import argparse
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from statistics import median, quantiles

ROUNDS = 7
KEYS = 40
MLXK = str(Path(sys.executable).with_name("mlxk"))
FLOOD = "!head -c 10000000 /dev/zero | tr '\\0' x | fold -w 79\r"


class Face:
    """`argv` on a pseudo-terminal of its own."""

    def __init__(self, argv: list[str], folder: str, env: dict[str, str]) -> None:
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(argv[0], argv, env)
        size = struct.pack("HHHH", 40, 100, 0, 0)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, size)

    def until(self, wanted: bytes, seconds: float = 60) -> float:
        """Seconds until the terminal has shown it."""
        began, seen = time.perf_counter(), b""
        while wanted not in seen:
            left = seconds - (time.perf_counter() - began)
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                raise SystemExit(f"{wanted!r} did not appear")
            seen = seen[-100_000:] + os.read(self.terminal, 65536)
        return time.perf_counter() - began

    def drain(self) -> None:
        while select.select([self.terminal], [], [], 0)[0]:
            os.read(self.terminal, 65536)

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def end(self) -> float:
        """CPU seconds that it took, those of its children not counted."""
        os.kill(self.pid, signal.SIGKILL)
        _, _, usage = os.wait4(self.pid, 0)
        os.close(self.terminal)
        return usage.ru_utime + usage.ru_stime


def first_paint(folder: str, env: dict[str, str]) -> tuple[float, float]:
    """(CPU seconds, wall seconds)"""
    face = Face([MLXK, "agent"], folder, env)
    wall = face.until(b"Ask for something")
    return face.end(), wall


def bare(folder: str, env: dict[str, str]) -> float:
    before = os.times()
    subprocess.run([sys.executable, "-c", "pass"], cwd=folder, env=env, check=True)
    after = os.times()
    return after.children_user + after.children_system - before[2] - before[3]


def delays(face: Face) -> list[float]:
    """Seconds until each of some keys was seen. Every key is another letter."""
    found = []
    for number in range(KEYS):
        face.drain()
        letter = chr(ord("A") + number % 26)
        face.type(letter)
        found.append(face.until(letter.encode()))
        time.sleep(0.02)
    return found


def in_ms(seconds: list[float]) -> dict[str, float]:
    tail = quantiles(seconds, n=20)[-1]
    return {"median_ms": round(1e3 * median(seconds), 1), "p95_ms": round(1e3 * tail, 1)}


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "-q", folder], check=True)
        env = {**os.environ, "MLXK_HOME": f"{folder}/.home", "TERM": "xterm-256color"}
        paints, bares = [], []
        for _ in range(ROUNDS):
            paints.append(first_paint(folder, env))
            bares.append(bare(folder, env))
        face = Face([MLXK, "agent"], folder, env)
        face.until(b"ready")
        at_rest = delays(face)
        face.type("\x03")
        face.type(FLOOD)
        in_a_flood = delays(face)
        face.end()
    result = {
        "rounds": ROUNDS,
        "python": sys.version.split()[0],
        "bare_interpreter_cpu_s": round(median(bares), 3),
        "first_paint_cpu_s": round(median(cpu for cpu, _ in paints), 3),
        "first_paint_wall_s": round(median(wall for _, wall in paints), 3),
        "key_at_rest": in_ms(at_rest),
        "key_in_a_flood": in_ms(in_a_flood),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
