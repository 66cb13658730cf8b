"""The command table: one entry per command, named like its schema."""

import inspect
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TextIO

import typer

Handler = Callable[..., object]
Human = Callable[[Any, dict[str, Any]], str]
Live = Callable[[TextIO | None, TextIO], Callable[[Any], None]]


@dataclass(frozen=True, slots=True)
class Command:
    """`human` renders the value; `live(out, err)` displays events (`out` is None with --json)."""

    path: str
    handler: Handler
    human: Human
    live: Live | None

    @property
    def schema(self) -> str:
        return self.path.replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Call:
    """A parsed command line, not yet carried out."""

    command: Command
    arguments: dict[str, Any]

    def run(self) -> object:
        return self.command.handler(**self.arguments)


@dataclass(frozen=True, slots=True)
class Ongoing:
    """What a command returns that goes on after its answer: `rest` is driven once it is printed."""

    value: object
    rest: Generator[object, None, object]


COMMANDS: dict[str, Command] = {}

app = typer.Typer(
    name="mlxk",
    add_completion=False,
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_groups: dict[str, typer.Typer] = {"": app}


@app.callback()
def root() -> None:
    """Run language models on your own hardware and put them to work in automation.

    Every command takes --json (one JSON document on stdout) and --events (NDJSON, envelope last).
    """


def command(path: str, human: Human, *, live: Live | None = None) -> Callable[[Handler], Handler]:
    """Register `mlxk <path>`; its schema is `schemas/<path>.schema.json`."""
    parent, _, name = path.rpartition(" ")

    def register(handler: Handler) -> Handler:
        entry = COMMANDS[path] = Command(path, handler, human, live)

        @wraps(handler)
        def parsed(**arguments: Any) -> Call:
            return Call(entry, arguments)

        # Typer evaluates annotations; what a handler returns may be a type it only names.
        signature = inspect.signature(handler)
        hints = {k: v for k, v in handler.__annotations__.items() if k != "return"}
        parsed.__annotations__ = hints
        parsed.__signature__ = signature.replace(return_annotation=signature.empty)  # type: ignore[attr-defined]
        _group(parent).command(name)(parsed)
        return handler

    return register


def group(path: str, text: str) -> None:
    """Describe a group of commands for `--help`."""
    _group(path).info.help = text


def path_of(argv: Sequence[str]) -> str:
    """The command that `argv` names, or its first word."""
    words = [a for a in argv if not a.startswith("-")]
    for n in range(len(words), 0, -1):
        if (path := " ".join(words[:n])) in COMMANDS:
            return path
    return words[0] if words else ""


def _group(path: str) -> typer.Typer:
    if path not in _groups:
        parent, _, name = path.rpartition(" ")
        _groups[path] = typer.Typer(no_args_is_help=False, rich_markup_mode=None)
        _group(parent).add_typer(_groups[path], name=name)
    return _groups[path]
