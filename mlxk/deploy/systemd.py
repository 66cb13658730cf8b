"""systemd user units: their text, and systemctl. Carries no model flag and no secret."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from mlxk.deploy.services import SUPERVISOR, Job, ManagerName, Ran, Run, required, run

# RestartSteps and RestartMaxDelaySec came with this version, and need each other.
_GRADUAL = 254
_RESTART_S = 10
_BURST = 5
_INTERVAL_S = 600


@dataclass(frozen=True, slots=True)
class Systemd:
    """`version` None: ask systemctl."""

    config: Path
    run: Run = run
    version: int | None = field(default=None)

    @property
    def name(self) -> ManagerName:
        return "systemd"

    def path(self, name: str) -> Path:
        return self.config / "systemd" / "user" / f"mlxk-{name}.service"

    def render(self, job: Job) -> str:
        """The interval is longer than all pauses of a burst: the limit can be reached."""
        what = "supervisor" if job.name == SUPERVISOR else f"deployment {job.name}"
        gradual = [f"RestartSteps={_BURST}", "RestartMaxDelaySec=300"]
        lines = [
            "[Unit]",
            f"Description=mlxk {what}",
            f"StartLimitIntervalSec={_INTERVAL_S}",
            f"StartLimitBurst={_BURST}",
            "",
            "[Service]",
            "Type=exec",
            f"ExecStart={quoted(job.argv[0])} {' '.join(map(_argument, job.argv[1:]))}",
            *(f"Environment={quoted(f'{name}={value}')}" for name, value in job.env),
            "Restart=on-failure",
            f"RestartSec={_RESTART_S}",
            *(gradual if self._version() >= _GRADUAL else []),
            "TimeoutStopSec=15",
            "KillMode=control-group",
            f"StandardOutput=append:{_percent(str(job.log))}",
            f"StandardError=append:{_percent(str(job.log))}",
            "",
            "[Install]",
            "WantedBy=default.target",
        ]
        if job.name == SUPERVISOR:
            # What the supervisor started must outlive it: its successor takes them over.
            lines[lines.index("KillMode=control-group")] = "KillMode=process"
        return "\n".join(lines) + "\n"

    def check(self) -> None:
        required(self._ctl("show-environment"), "no systemd user manager")

    def load(self, name: str, *, now: bool) -> None:
        required(self._ctl("daemon-reload"), "systemctl daemon-reload")
        argv = ["enable", *(["--now"] if now else []), f"mlxk-{name}.service"]
        required(self._ctl(*argv), f"systemctl enable mlxk-{name}")

    def unload(self, name: str) -> None:
        self._ctl("disable", "--now", f"mlxk-{name}.service")

    def start(self, name: str, *, again: bool = False) -> None:
        verb = "restart" if again else "start"
        required(self._ctl(verb, f"mlxk-{name}.service"), f"systemctl {verb} mlxk-{name}")

    def stop(self, name: str) -> None:
        required(self._ctl("stop", f"mlxk-{name}.service"), f"systemctl stop mlxk-{name}")

    def is_loaded(self, name: str) -> bool:
        return self._ctl("is-enabled", f"mlxk-{name}.service").code == 0

    def linger(self) -> bool | None:
        """Whether user services outlive the logout; None when nobody says."""
        user = self.run(["id", "-un"]).output or str(os.getuid())
        said = self.run(["loginctl", "show-user", user, "--property=Linger", "--value"])
        return {"yes": True, "no": False}.get(said.output) if said.code == 0 else None

    def _version(self) -> int:
        if self.version is not None:
            return self.version
        found = re.search(r"systemd (\d+)", self.run(["systemctl", "--version"]).output)
        return int(found.group(1)) if found else 0

    def _ctl(self, *argv: str) -> Ran:
        return self.run(["systemctl", "--user", *argv])


def quoted(word: str) -> str:
    """A word as systemd reads it: `%` is doubled, blanks need quotes."""
    text = _percent(word).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if not text or re.search(r"[\s'\";]", text) else text


def _argument(word: str) -> str:
    """Variables are put into arguments, not into the program's name nor the environment."""
    return quoted(word).replace("$", "$$")


def _percent(text: str) -> str:
    return text.replace("%", "%%")
