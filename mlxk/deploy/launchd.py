"""launchd property lists: their text, and launchctl. Carries no model flag and no secret."""

import os
import plistlib
from dataclasses import dataclass
from pathlib import Path

from mlxk.contract.errors import ServiceManagerUnavailable
from mlxk.deploy.services import Job, ManagerName, Ran, Run, required, run

_PREFIX = "com.local.mlx-"


@dataclass(frozen=True, slots=True)
class Launchd:
    home: Path
    run: Run = run

    @property
    def name(self) -> ManagerName:
        return "launchd"

    def path(self, name: str) -> Path:
        return self.home / "Library" / "LaunchAgents" / f"{_PREFIX}{name}.plist"

    def render(self, job: Job) -> str:
        """A crash starts it again; an orderly end, which is ours, does not."""
        value = {
            "Label": f"{_PREFIX}{job.name}",
            "ProgramArguments": list(job.argv),
            "EnvironmentVariables": dict(job.env),
            "RunAtLoad": True,
            "KeepAlive": {"Crashed": True, "SuccessfulExit": False},
            "ThrottleInterval": 10,
            "ExitTimeOut": 15,
            "ProcessType": "Interactive",
            "StandardOutPath": str(job.log),
            "StandardErrorPath": str(job.log),
        }
        return plistlib.dumps(value, sort_keys=False).decode()

    def check(self) -> None:
        self._domain()

    def load(self, name: str, *, now: bool) -> None:
        """A loaded agent runs: without `now` it waits for the next login."""
        if not now:
            return
        domain = self._domain()
        self._ctl("bootout", f"{domain}/{_PREFIX}{name}")
        required(self._ctl("bootstrap", domain, str(self.path(name))), "launchctl bootstrap")

    def unload(self, name: str) -> None:
        self._ctl("bootout", f"{self._domain()}/{_PREFIX}{name}")

    def start(self, name: str, *, again: bool = False) -> None:
        domain = self._domain()
        if not self.is_loaded(name):
            required(self._ctl("bootstrap", domain, str(self.path(name))), "launchctl bootstrap")
        argv = ["kickstart", *(["-k"] if again else []), f"{domain}/{_PREFIX}{name}"]
        required(self._ctl(*argv), "launchctl kickstart")

    def stop(self, name: str) -> None:
        """`bootout`, not `kill`: KeepAlive would start a killed one again."""
        required(self._ctl("bootout", f"{self._domain()}/{_PREFIX}{name}"), "launchctl bootout")

    def is_loaded(self, name: str) -> bool:
        return self._ctl("print", f"{self._domain()}/{_PREFIX}{name}").code == 0

    def linger(self) -> bool | None:
        return None

    def _domain(self) -> str:
        """Over SSH there is no gui domain: the user's own stands in."""
        for domain in (f"gui/{os.getuid()}", f"user/{os.getuid()}"):
            if self._ctl("print", domain).code == 0:
                return domain
        hint = "mlxk watch runs without a service manager"
        raise ServiceManagerUnavailable("launchd cannot be reached", hint=hint)

    def _ctl(self, *argv: str) -> Ran:
        return self.run(["launchctl", *argv])
