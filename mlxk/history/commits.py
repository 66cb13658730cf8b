"""Commit objects as text: who, when, why, and trailers that machines read. Knows no storage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

IDENTITY = "mlxk <mlxk@localhost>"
SESSION, STEP, MODEL = "Mlxk-Session", "Mlxk-Step", "Mlxk-Model"
BRANCH, BASE, PARENT = "Mlxk-Branch", "Mlxk-Base", "Mlxk-Parent"
COMMITS, RESTS = "Mlxk-Commits", "Mlxk-Rests"
_SUBJECT, _BODY = 72, 4096


@dataclass(frozen=True, slots=True)
class Commit:
    tree: bytes  # 20 bytes
    parents: tuple[str, ...]
    author: str
    when: datetime
    message: str

    @property
    def subject(self) -> str:
        return self.message.partition("\n")[0]

    @property
    def trailers(self) -> Mapping[str, str]:
        """Of the last paragraph, where ours always are."""
        last = self.message.rstrip().rpartition("\n\n")[2]
        pairs = (line.partition(": ") for line in last.splitlines())
        return {key: value for key, _, value in pairs if value}


def encode(
    tree: bytes, parents: Sequence[str], when: datetime, message: str, *, author: str = IDENTITY
) -> bytes:
    stamp = f"{author} {int(when.timestamp())} +0000"
    lines = [f"tree {tree.hex()}"]
    lines += [f"parent {parent}" for parent in parents]
    lines += [f"author {stamp}", f"committer {stamp}", "", message]
    return "\n".join(lines).encode(errors="backslashreplace")


def signed(data: bytes, signature: bytes) -> bytes:
    """A commit with its signature, as the last of its headers."""
    head, _, text = data.partition(b"\n\n")
    lines = signature.rstrip(b"\n").replace(b"\r", b"").replace(b"\n", b"\n ")
    return head + b"\ngpgsig " + lines + b"\n\n" + text


def decode(data: bytes) -> Commit:
    """Any git commit, other people's included. ValueError."""
    head, _, message = data.partition(b"\n\n")
    tree, parents, author, seconds = b"", [], b"", 0
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == b"tree":
            tree = bytes.fromhex(value.decode())
        elif key == b"parent":
            parents.append(value.decode())
        elif key == b"author":
            author = value.rsplit(b" ", 2)[0]
        elif key == b"committer":
            seconds = int(value.rsplit(b" ", 2)[-2])
    if len(tree) != 20:
        raise ValueError("not a commit")
    when = datetime.fromtimestamp(seconds, UTC)
    by = author.decode(errors="replace")
    return Commit(tree, tuple(parents), by, when, message.decode(errors="replace"))


def message(subject: str, body: str, trailers: Mapping[str, str]) -> str:
    """For people first: a short subject, a bounded body, then the trailers."""
    parts = [_shortened(_line(subject), _SUBJECT), _bounded(_clean(body).strip())]
    parts.append("\n".join(f"{key}: {_line(value)}" for key, value in trailers.items() if value))
    return "\n\n".join(part for part in parts if part) + "\n"


def _line(text: str) -> str:
    return " ".join(_clean(text).split())


def _clean(text: str) -> str:
    """git refuses NUL; other control characters would move the reader's cursor."""
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _bounded(text: str) -> str:
    data = text.encode(errors="backslashreplace")
    return text if len(data) <= _BODY else data[:_BODY].decode(errors="ignore") + "…"
