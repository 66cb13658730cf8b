"""A command that must pass before a run counts as done."""

from dataclasses import dataclass
from pathlib import Path

from mlxk.agent.command import run_command
from mlxk.agent.confine import Confinement
from mlxk.agent.events import CheckFinished, Sender
from mlxk.agent.limits import Meter
from mlxk.agent.redact import redacted

_SECONDS = 600.0
_SHOWN = 8_000


@dataclass(frozen=True, slots=True)
class CheckReport:
    command: str
    passed: bool
    exit_code: int
    attempts: int


class Check:
    """Runs `command` in the worktree, confined like Bash, as often as it is asked to."""

    def __init__(
        self,
        command: str,
        worktree: Path,
        confinement: Confinement,
        sender: Sender,
        meter: Meter,
    ) -> None:
        self.command = command
        self._worktree = worktree
        self._confinement = confinement
        self._sender = sender
        self._meter = meter
        self.report: CheckReport | None = None

    async def run(self) -> str | None:
        """None when it passed, else what to tell the model."""
        done = await run_command(
            self._confinement.shell(self.command),
            cwd=self._worktree,
            timeout_s=min(_SECONDS, max(0.1, self._meter.seconds_left() or _SECONDS)),
            keep_bytes=1 << 20,
            gated=self._confinement.is_gated,
        )
        passed = done.exit_code == 0 and not done.timed_out
        attempts = self.report.attempts + 1 if self.report else 1
        self.report = CheckReport(self.command, passed, done.exit_code, attempts)
        output = redacted(done.text)[-_SHOWN:]
        self._sender.send(CheckFinished(self.command, passed, done.exit_code, attempts, output))
        if passed:
            return None
        how = "timed out" if done.timed_out else f"failed with exit code {done.exit_code}"
        return f"The check `{self.command}` {how}:\n{output}\nMake it pass."
