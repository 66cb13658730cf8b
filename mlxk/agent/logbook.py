"""A run as a log that people follow with `tail -f`: words as they come, a line for all else.

It is often read on a terminal: nothing in it steers one.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlxk.agent import events
from mlxk.agent.events import Event
from mlxk.agent.tools.base import plural
from mlxk.contract.encoding import valid
from mlxk.contract.errors import InvalidValue
from mlxk.contract.notes import note
from mlxk.system.files import translated
from mlxk.system.terminal import plain

_SHOWN = 4_000  # characters of what a tool said
_SILENT = ("heartbeat", "tool.output", "file.changed")


class Logbook:
    """Listens to one run or to several. `write` gets text that ends wherever words end."""

    def __init__(self, write: Callable[[str], None], prompt: str) -> None:
        self._write = write
        self._prompt = prompt
        self._first: str | None = None
        self._open = ""  # what kind of words the last line holds, while it has no end
        self._words: dict[str, str] = {}  # of other sessions: a line that is not whole yet

    def hear(self, event: Event) -> None:
        self._first = self._first or event.session
        match event.data:
            case events.TextDelta(text):
                self._say(event.session, "", plain(text))
            case events.ThinkingDelta(text):
                self._say(event.session, "thinking: ", plain(text))
            case _ if event.type not in _SILENT:
                self._end_words(event.session)
                self._line(event, _told(event.data, self._prompt))

    def _say(self, session: str, kind: str, text: str) -> None:
        """The first session's words go out at once, those of others line by line."""
        if session != self._first:
            *whole, rest = (self._words.get(session, "") + text).split("\n")
            self._words[session] = rest
            for line in whole:
                self._break()
                self._write(f"[{session}] {kind}{line}\n")
            return
        if self._open != (kind or "text"):
            self._break()
            self._write(kind)
            self._open = kind or "text"
        self._write(text)

    def _end_words(self, session: str) -> None:
        if rest := self._words.pop(session, ""):
            self._break()
            self._write(f"[{session}] {rest}\n")

    def _break(self) -> None:
        if self._open:
            self._write("\n")
            self._open = ""

    def _line(self, event: Event, text: str) -> None:
        self._break()
        time = event.ts.partition("T")[2].partition(".")[0].removesuffix("Z")
        whose = f"[{event.session}] " if event.session != self._first else ""
        self._write(f"{time} {whose}{text}\n")


@contextmanager
def logbook(path: Path, prompt: str) -> Iterator[Callable[[Event], None]]:
    """Append to `path` what a run tells. A log that cannot be written any more is a warning, and
    one whose reader does not read loses words; neither holds up the run. InvalidValue."""
    fd = _opened(path)
    lost: list[OSError] = []

    def write(text: str) -> None:
        try:
            if not lost:
                os.write(fd, valid(text).encode())
        except BlockingIOError:
            return
        except OSError as e:
            lost.append(e)
            note("log_lost", f"{path} is not written any more: {(e.strerror or str(e)).lower()}")

    try:
        yield Logbook(write, prompt).hear
    finally:
        with suppress(OSError):
            os.close(fd)


def _opened(path: Path) -> int:
    """Not blocking: a pipe that nobody reads is an error, not a wait."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, flags, 0o644)
    except OSError as e:
        raise InvalidValue(f"cannot write {path}: {(e.strerror or str(e)).lower()}") from e


def _told(data: events.Payload, prompt: str) -> str:
    match data:
        case events.RunStarted():
            where = f"{data.branch} in {data.worktree}"
            facts = f"{data.model} ({data.api}), {data.permissions}, confined by {data.confinement}"
            return f"run on {where}\n{_indented(facts)}\n{_indented(prompt, '> ')}"
        case events.TurnStarted():
            return f"asks the model ({plural(data.messages, 'message')})"
        case events.ToolStarted():
            return f"call {data.name} {_cut(data.arguments, 500)}"
        case events.ToolFinished():
            how = "ok" if data.ok else "failed"
            said = f"\n{_indented(_cut(data.text, _SHOWN))}" if data.text else ""
            return f"{how} {data.name}, {data.seconds:g} s{said}"
        case events.StepCommitted():
            return f"commit {data.commit[:12]} {data.subject}"
        case events.Used():
            cached = f" ({data.cached_tokens} cached)" if data.cached_tokens else ""
            return f"used {data.prompt_tokens} tokens{cached}, said {data.completion_tokens}"
        case events.CheckFinished():
            how = "passed" if data.passed else f"failed with exit code {data.exit_code}"
            said = f"\n{_indented(_cut(data.output, _SHOWN))}" if data.output else ""
            return f"check {how}: {data.command}{said}"
        case events.RunFinished():
            return f"end: {data.stop_reason}{f': {data.error}' if data.error else ''}"
    facts = " ".join(f"{name}={value}" for name, value in _plain(data).items())
    return f"{data.type.replace('.', ' ')} {facts}".rstrip()


def _plain(data: events.Payload) -> dict[str, Any]:
    return {name: value for name, value in asdict(data).items() if value is not None}


def _cut(text: str, most: int) -> str:
    left = len(text) - most
    kept = plain(text[:most])
    return f"{kept}\n… {left} more characters" if left > 0 else kept


def _indented(text: str, mark: str = "  ") -> str:
    return "\n".join(f"         {mark}{line}" for line in text.splitlines())
