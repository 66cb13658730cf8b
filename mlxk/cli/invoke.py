"""One command line: parse it, carry it out, print its events and its envelope."""

import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import Any

import typer

from mlxk.cli import nouns
from mlxk.cli.main import Terminated
from mlxk.cli.options import Options
from mlxk.cli.registry import COMMANDS, Call, Command, Ongoing, app, path_of
from mlxk.contract import encoding
from mlxk.contract.envelope import Envelope
from mlxk.contract.errors import (
    InternalError,
    Interrupted,
    MlxkError,
    NotFound,
    UsageError,
)
from mlxk.contract.notes import collecting
from mlxk.system.files import as_error, misplaced
from mlxk.system.terminal import shown

Emit = Callable[[object], None]


def run(argv: Sequence[str], options: Options) -> int:
    """Carry out one command line and print its answer; returns the exit code."""
    with collecting() as notes:
        envelope, code, call = _answer(argv, options)
        envelope = replace(envelope, warnings=tuple(notes))
    ongoing = envelope.data if isinstance(envelope.data, Ongoing) else None
    if ongoing is not None:
        envelope = replace(envelope, data=ongoing.value)
    else:
        _too_late_for_signals()
    if options.json:
        envelope, code = _checked(envelope, code, options)
        pretty = sys.stdout.isatty() and not options.events
        _write(encoding.dumps(envelope, newline=True, indent=pretty))
    else:
        _tell(envelope, call)
    return code if ongoing is None else _go_on(ongoing, code)


def _too_late_for_signals() -> None:
    """The work is done: a signal now ends the process, it no longer changes the answer."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _go_on(ongoing: Ongoing, code: int) -> int:
    """The answer is printed: a signal now is the orderly end, a failure goes to stderr."""
    sys.stdout.flush()
    with closing(ongoing.rest):
        try:
            for _ in ongoing.rest if code == 0 else ():
                pass
        except KeyboardInterrupt:
            return 0
        except Exception as e:  # noqa: BLE001 -- the boundary, as in _answer
            error = _error_of(e)
            print(f"mlxk: {error}", file=sys.stderr)
            return error.exit_code
    return code


def _answer(argv: Sequence[str], options: Options) -> tuple[Envelope, int, Call | None]:
    call: Call | None = None
    try:
        call = _parse(argv)
        data = _drain(call.run(), _emitter(call.command, options))
        return Envelope("success", call.command.path, data, None), 0, call
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as e:  # noqa: BLE001 -- the boundary: bugs get envelopes
        error = _error_of(e)
    path = call.command.path if call else path_of(argv)
    return Envelope("error", path, error.data, error.info()), error.exit_code, call


def _error_of(e: BaseException) -> MlxkError:
    match e:
        case MlxkError():
            return e
        case Terminated():
            return Interrupted("terminated", exit_code=128 + signal.SIGTERM)
        case KeyboardInterrupt() | typer.Abort():
            return Interrupted("interrupted")
        case FileNotFoundError() if e.filename is None:
            return NotFound("the current folder does not exist any more", hint="cd to another one")
        case OSError() if error := as_error(e, e.filename or "a file") or misplaced(e):
            return error
    return _bug(e)


def complete() -> None:
    """Answer the shell's completion script, then leave the process."""
    from typer.completion import completion_init  # type: ignore[attr-defined]

    nouns.load_all()
    completion_init()
    app(prog_name="mlxk")


def _parse(argv: Sequence[str]) -> Call:
    """Let typer read the line. What it prints (help) becomes the value of `help`."""
    printed = StringIO()
    nouns.load(argv)
    try:
        with redirect_stdout(printed):
            reply = app([*argv] or ["--help"], prog_name="mlxk", standalone_mode=False)
    except typer.TyperException as e:
        raise _usage_error(e.format_message(), argv) from e
    if isinstance(reply, Call):
        return reply
    if printed.getvalue():
        nouns.load_all()
        return Call(COMMANDS["help"], {"words": [path_of(argv)], "text": printed.getvalue()})
    raise _usage_error("name a command", argv)


def _usage_error(message: str, argv: Sequence[str]) -> UsageError:
    path = path_of(argv)
    if path in COMMANDS:
        return UsageError(message, hint=f"mlxk {path} --help")
    if any(known.startswith(f"{path} ") for known in COMMANDS):
        return UsageError(message, hint=f"mlxk {path} --help")
    from difflib import get_close_matches

    near = get_close_matches(path, COMMANDS, n=1)
    return UsageError(message, hint=f"mlxk {near[0]}" if near else "mlxk --help")


def _drain(value: Any, emit: Emit) -> Any:
    """Emit what a generator yields; what it returns is the value. A failure ends its work now."""
    if not isinstance(value, Generator):
        return value
    with closing(value):
        while True:
            try:
                event = next(value)
            except StopIteration as end:
                return end.value
            emit(event)


def _emitter(command: Command, options: Options) -> Emit:
    if options.events:
        return lambda event: _write(encoding.dumps(event, newline=True))
    if command.live is None:
        return lambda _: None
    return _tolerant(command.live(None if options.json else sys.stdout, sys.stderr))


def _tolerant(show: Emit) -> Emit:
    """Progress that cannot be written is lost; the work goes on. A reader that left is told."""

    def tell(event: object) -> None:
        try:
            show(event)
        except BrokenPipeError:
            raise
        except OSError:
            return

    return tell


def _checked(envelope: Envelope, code: int, options: Options) -> tuple[Envelope, int]:
    """The product's promise: nothing leaves that does not obey its published schema."""
    if not options.validate:
        return envelope, code
    from mlxk.contract.validate import problems

    entry = COMMANDS.get(envelope.command)
    value = encoding.loads(encoding.dumps(envelope))
    if not (found := problems(entry.schema if entry else "envelope", value)):
        return envelope, code
    error = InternalError(
        f"the answer breaks its schema at {found[0].pointer}: {found[0].message}",
        hint="please report this; MLXK_VALIDATE=0 prints the answer unchecked",
    )
    return Envelope("error", envelope.command, None, error.info()), error.exit_code


def _tell(envelope: Envelope, call: Call | None) -> None:
    """For people: the value on stdout; warnings, the error and its hint on stderr."""
    if call and envelope.data is not None:
        text = call.command.human(envelope.data, call.arguments)
        if text:
            print(shown(text, sys.stdout))
    for note in envelope.warnings:
        print(shown(f"warning: {note.message}", sys.stderr), file=sys.stderr)
    if envelope.error:
        print(shown(f"mlxk: {envelope.error.message}", sys.stderr), file=sys.stderr)
        if envelope.error.hint:
            print(shown(f"hint: {envelope.error.hint}", sys.stderr), file=sys.stderr)


def _bug(e: BaseException) -> InternalError:
    if os.environ.get("MLXK_DEBUG"):
        import traceback

        traceback.print_exception(e)
    return InternalError(
        f"{type(e).__name__}: {e}",
        hint="this is a bug; run again with MLXK_DEBUG=1 and report what it prints",
        exception=type(e).__name__,
    )


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
