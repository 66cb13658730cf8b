"""Keep Bash inside the worktree: bubblewrap on Linux, sandbox-exec on macOS, said when neither."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from mlxk.contract.notes import note
from mlxk.system import paths
from mlxk.system.hardware import has

Kind = Literal["bubblewrap", "sandbox-exec", "none"]

# Places where people keep keys. A confined command finds them empty.
_SECRETS = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config/gh", ".config/gcloud",
    ".netrc", ".pypirc", ".npmrc", ".git-credentials", ".config/git/credentials",
    ".cache/huggingface/token", ".cache/huggingface/stored_tokens", ".mlxk/keys",
    ".claude.json", ".claude/.credentials.json", ".codex/auth.json", ".gemini/oauth_creds.json",
)  # fmt: skip

# bubblewrap asks to be killed with its parent a moment after it has begun: the command waits until
# it is heard, and does not begin when nobody is there any more.
_GATE = 'echo >&0 && read -r _ && exec /bin/sh -c "$1" </dev/null'

# Fresh and empty for each confined command.
_EMPTY = ("/tmp", "/var/tmp", "/run")


@dataclass(frozen=True, slots=True)
class Confinement:
    """`root` and `writable` may be written, `visible` folders stay readable.

    The network only when allowed.
    """

    kind: Kind
    root: Path
    visible: tuple[Path, ...] = ()
    network: bool = False
    home: Path = Path("/nonexistent")
    writable: tuple[Path, ...] = ()

    def shell(self, command: str) -> list[str]:
        """The argv that runs a command line under this confinement."""
        gate = [_GATE, "sh"] if self.is_gated else []
        return self.program(["/bin/sh", "-c", *gate, command])

    @property
    def is_gated(self) -> bool:
        """Whether a `shell` waits until `run_command` lets it go on."""
        return self.kind == "bubblewrap"

    def program(self, inner: Sequence[str]) -> list[str]:
        """The same for a program and its arguments."""
        if self.kind == "bubblewrap":
            return [*self._bubblewrap(), *inner]
        if self.kind == "sandbox-exec":
            return ["sandbox-exec", "-p", self._profile(), *inner]
        return list(inner)

    def _bubblewrap(self) -> list[str]:
        argv = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        argv += [word for place in _EMPTY for word in ("--tmpfs", place)]
        resolver = Path(os.path.realpath("/etc/resolv.conf"))
        if self.network and resolver.is_file():
            argv += ["--ro-bind", str(resolver), str(resolver)]
        for path in self.visible:
            argv += ["--ro-bind", str(path), str(path)]
        for path in (*self.writable, self.root):
            argv += ["--bind", str(path), str(path)]
        argv += ["--chdir", str(self.root)]
        for path in _existing_secrets(self.home):
            argv += (
                ["--tmpfs", str(path)] if path.is_dir() else ["--ro-bind", "/dev/null", str(path)]
            )
        argv += ["--unshare-pid", "--unshare-ipc", "--die-with-parent", "--new-session"]
        return [*argv, *([] if self.network else ["--unshare-net"]), "--"]

    def _profile(self) -> str:
        denied = "".join(f'(deny file-read* (subpath "{p}"))' for p in _existing_secrets(self.home))
        network = "" if self.network else "(deny network*)"
        places = (*self.writable, self.root, "/private/tmp", "/dev")
        writable = " ".join(f'(subpath "{place}")' for place in places)
        allowed = f"(allow default)(deny file-write*)(allow file-write* {writable})"
        return f"(version 1){allowed}{network}{denied}"


def confinement(
    root: Path, *, visible: tuple[Path, ...] = (), network: bool = False, home: Path | None = None
) -> Confinement:
    """The strongest confinement that works here; a warning when there is none."""
    kind = _kind()
    if kind == "none":
        note("unconfined", "no bubblewrap or sandbox-exec here: Bash commands run unconfined")
    seen = (*visible, *_programs())
    return Confinement(kind, root, seen, network, home or Path.home())


def _programs() -> tuple[Path, ...]:
    """The Python environment in use, when it lies where a confined command finds nothing."""
    used = {Path(sys.prefix), Path(os.environ.get("VIRTUAL_ENV") or sys.prefix)}
    return tuple(p for p in sorted(used) if p.is_dir() and any(map(p.is_relative_to, _EMPTY)))


def leashed(argv: Sequence[str]) -> list[str]:
    """A program that may do what the user may, but ends, children included, when we do."""
    if _kind() != "bubblewrap":
        return list(argv)
    free = ["bwrap", "--dev-bind", "/", "/", "--proc", "/proc", "--unshare-pid"]
    return [*free, "--die-with-parent", "--", *argv]


@cache
def _kind() -> Kind:
    if sys.platform == "darwin":
        return "sandbox-exec" if has("sandbox-exec") else "none"
    # Containers often forbid user namespaces: only a trial tells.
    trial = ["bwrap", "--ro-bind", "/", "/", "--unshare-pid", "--unshare-net", "--", "/bin/true"]
    if not has("bwrap"):
        return "none"
    try:
        subprocess.run(trial, capture_output=True, check=True, timeout=10)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return "none"
    return "bubblewrap"


def _existing_secrets(home: Path) -> list[Path]:
    found = [home / name for name in _SECRETS if (home / name).exists()]
    hub = paths.hf_home()
    tokens = [hub / "token", hub / "stored_tokens", Path(os.environ.get("HF_TOKEN_PATH", ""))]
    return [*found, *(path for path in tokens if path.is_file() and path not in found)]
