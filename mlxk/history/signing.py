"""Signs a commit of the user's as their git configuration asks: gpg, gpgsm or ssh-keygen.

Runs only when work is landed, never on a step.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from dulwich.config import StackedConfig

from mlxk.contract.errors import SigningFailed
from mlxk.system.process import child_environment

Signer = Callable[[bytes], bytes]  # a commit without signature -> the signature
_PATIENCE = 120.0  # somebody may have to type a passphrase
_PROGRAMS = {"openpgp": "gpg", "x509": "gpgsm", "ssh": "ssh-keygen"}
_AGENTS = (
    "GNUPGHOME",
    "GPG_TTY",
    "SSH_AUTH_SOCK",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "PINENTRY_USER_DATA",
)
_HINT = "see git's user.signingKey and gpg.format, or land with --no-sign"


def signer(config: StackedConfig, author: str) -> Signer | None:
    """None when the user does not sign (`commit.gpgSign`). SigningFailed for a setting that cannot
    work.
    """
    if not config.get_boolean((b"commit",), b"gpgsign", False):
        return None
    kind = (_setting(config, b"gpg", b"format") or "openpgp").lower()
    if kind not in _PROGRAMS:
        raise SigningFailed(f"git's gpg.format is {kind!r}", hint=_HINT)
    program = _program(config, kind)
    key = _setting(config, b"user", b"signingkey")
    if kind != "ssh":
        argv = [program, "--status-fd=2", "-bsau", key or author]
        return lambda data: _run(argv, data)
    if not key:
        raise SigningFailed("commits are to be signed with ssh, but no key is named", hint=_HINT)
    named = key
    return lambda data: _with_ssh(program, named, data)


def _with_ssh(program: str, key: str, data: bytes) -> bytes:
    """`key` is a file, or a public key whose private half an agent holds."""
    base = [program, "-Y", "sign", "-n", "git"]
    if not key.startswith(("key::", "ssh-", "ecdsa-", "sk-")):
        return _run([*base, "-f", str(Path(key).expanduser())], data)
    with tempfile.NamedTemporaryFile("w", suffix=".pub") as file:
        file.write(key.removeprefix("key::") + "\n")
        file.flush()
        return _run([*base, "-U", "-f", file.name], data)


def _run(argv: Sequence[str], data: bytes) -> bytes:
    env = child_environment(os.environ, extra=_AGENTS)
    try:
        done = subprocess.run(
            argv, input=data, env=env, capture_output=True, check=False, timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise SigningFailed(f"the commit cannot be signed: {e}", hint=_HINT) from e
    if done.returncode or not done.stdout.startswith(b"-----BEGIN"):
        said = done.stderr.decode(errors="replace").splitlines()
        why = next((line for line in said if not line.startswith("[GNUPG:]")), "no signature")
        raise SigningFailed(f"the commit cannot be signed: {argv[0]}: {why}", hint=_HINT)
    return done.stdout


def _program(config: StackedConfig, kind: str) -> str:
    own = _setting(config, b"gpg", b"program", kind.encode())
    general = _setting(config, b"gpg", b"program") if kind == "openpgp" else None
    return str(Path(own or general or _PROGRAMS[kind]).expanduser())


def _setting(config: StackedConfig, section: bytes, name: bytes, *sub: bytes) -> str | None:
    try:
        return config.get((section, *sub), name).decode(errors="surrogateescape")
    except KeyError:
        return None
