"""Which files of a workspace never leave this machine: hard rules, then `.hfignore`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from mlxk.hub.workspace import PROVENANCE

IGNORE_FILE = ".hfignore"

# Never uploaded, whatever .hfignore says: history, rubbish, environments, keys.
_FOLDERS = frozenset(
    (".git", "__pycache__", ".venv", "venv", "virtualenv", ".tox", ".cache", ".ssh", ".aws")
)
_NAMES = re.compile(
    r"""\.DS_Store | Thumbs\.db | .*\.py[cod] | \.env(\..*)? | .*\.env | \.netrc | \.npmrc
    | \.pypirc | id_(rsa|dsa|ecdsa|ed25519)(\.pub)? | .*\.(pem|key|p12|pfx|jks|keystore|ppk|kdbx)
    | credentials(\.json)? | service[-_]account.*\.json | \.git-credentials | \.hfignore""",
    re.VERBOSE | re.IGNORECASE,
)
_SECRETS = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bhf_[A-Za-z0-9]{30,}\b|\bAKIA[0-9A-Z]{16}\b"
    rb"|\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bsk-[A-Za-z0-9_-]{32,}\b|\bxox[abprs]-[A-Za-z0-9-]{20,}"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of an ignore file, as gitignore(5) reads it."""

    pattern: re.Pattern[str]
    negated: bool
    folders_only: bool


def is_excluded(name: str, *, is_virtualenv: frozenset[str] = frozenset()) -> bool:
    """By the hard rules; `is_virtualenv` names folders that hold a pyvenv.cfg."""
    path = PurePosixPath(name)
    folders = path.parts[:-1]
    if any(part in _FOLDERS for part in folders) or path.name == PROVENANCE:
        return True
    above = {"/".join(folders[: n + 1]) for n in range(len(folders))}
    return bool(above & is_virtualenv) or _NAMES.fullmatch(path.name) is not None


def has_secret(head: bytes) -> bool:
    """Whether bytes look like they hold a key or a token."""
    return _SECRETS.search(head) is not None


def parse(text: str) -> tuple[Rule, ...]:
    rules = (_rule(line) for line in text.splitlines())
    return tuple(rule for rule in rules if rule is not None)


def is_ignored(name: str, rules: Iterable[Rule]) -> bool:
    """The last rule that fits decides; what lies in an ignored folder cannot come back."""
    parts = name.split("/")
    for n in range(1, len(parts) + 1):
        if _decide("/".join(parts[:n]), tuple(rules), is_folder=n < len(parts)):
            return True
    return False


def _decide(name: str, rules: tuple[Rule, ...], *, is_folder: bool) -> bool:
    for rule in reversed(rules):
        if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(name):
            return not rule.negated
    return False


def _rule(line: str) -> Rule | None:
    text = _stripped(line)
    if not text or text.startswith("#"):
        return None
    negated = text.startswith("!")
    text = text[1:] if negated else text
    folders_only = text.endswith("/")
    text = text.rstrip("/") if folders_only else text
    if not text:
        return None
    return Rule(_compiled(text), negated, folders_only)


def _stripped(line: str) -> str:
    """Without trailing spaces, unless a backslash keeps them."""
    line = line.rstrip("\r\n")
    while line.endswith(" ") and not line.endswith("\\ "):
        line = line[:-1]
    return line


@cache
def _compiled(text: str) -> re.Pattern[str]:
    anchored = "/" in text
    text = text.removeprefix("/")
    prefix = "" if anchored else "(?:.*/)?"
    try:
        return re.compile(prefix + _translated(text))
    except re.error:
        return re.compile(prefix + re.escape(text))


def _translated(text: str) -> str:
    """A gitignore glob as a regular expression: `*` and `?` stay within one folder."""
    if text.startswith("**/"):
        return "(?:.*/)?" + _translated(text[3:])
    out, i = "", 0
    while i < len(text):
        if text.startswith("/**/", i):
            out, i = out + "/(?:.*/)?", i + 4
        elif text.startswith("/**", i) and i + 3 == len(text):
            out, i = out + "/.*", i + 3
        else:
            piece, i = _piece(text, i)
            out += piece
    return out


def _piece(text: str, i: int) -> tuple[str, int]:
    char = text[i]
    if char == "*":
        while i < len(text) and text[i] == "*":
            i += 1
        return "[^/]*", i
    if char == "?":
        return "[^/]", i + 1
    if char == "[" and (end := text.find("]", i + 2)) > 0:
        inside = text[i + 1 : end].replace("\\", "\\\\")
        inside = f"^{inside[1:]}" if inside[0] in "!^" else inside
        return f"(?!/)[{inside}]", end + 1
    if char == "\\" and i + 1 < len(text):
        return re.escape(text[i + 1]), i + 2
    return re.escape(char), i + 1
