"""The real program on a real terminal: keys in, the screen out, by tmux."""

import os
import subprocess
import sys
import time
from pathlib import Path

MLXK = str(Path(sys.executable).with_name("mlxk"))
PATIENCE_S = 60


class Terminal:
    """One tmux server with one window, in which `argv` runs and then says how it ended."""

    def __init__(self, folder, *argv, size=(100, 30), env=()):
        self._socket = f"mlxk-test-{os.getpid()}-{time.monotonic_ns()}"
        line = " ".join(f"'{word}'" for word in (MLXK, *argv))
        variables = [f"{name}={os.environ[name]}" for name in ("HOME", "MLXK_HOME", "HF_HOME")]
        given = [word for entry in (*variables, *env) for word in ("-e", entry)]
        width, height = (str(n) for n in size)
        self.tmux(
            *("-f", "/dev/null", "new-session", "-d", "-x", width, "-y", height, *given),
            *("-c", str(folder), f'{line}; echo "ended with $?"; exec sleep 1000'),
        )

    def tmux(self, *argv):
        done = subprocess.run(
            ["tmux", "-L", self._socket, *argv],
            capture_output=True,
            text=True,
            check=True,
            env={k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")},
        )
        return done.stdout

    def keys(self, *names):
        self.tmux("send-keys", *names)

    def type(self, text):
        self.tmux("send-keys", "-l", text)
        self.keys("Enter")

    @property
    def text(self):
        return self.tmux("capture-pane", "-p")

    @property
    def pid(self):
        """Of the program, which is the shell's only child."""
        shell = self.tmux("display-message", "-p", "#{pane_pid}").strip()
        return int(subprocess.check_output(["pgrep", "-P", shell]).split()[0])

    def resize(self, width, height):
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    def sees(self, *wanted):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            text = self.text
            if all(w in text for w in wanted):
                return text
            time.sleep(0.05)
        raise AssertionError(f"{wanted} did not appear:\n{self.text}")

    def close(self):
        subprocess.run(["tmux", "-L", self._socket, "kill-server"], check=False)
