"""The process: argv in, an exit code out. Light, so that `mlxk --version` costs almost nothing."""

import os
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper

from mlxk import __version__


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command like Ctrl-C but with its own exit code."""


def main() -> None:
    try:
        signal.signal(signal.SIGTERM, _terminate)
        _open_streams()
        code = _run()
    except KeyboardInterrupt as e:
        code = _interrupted(e)
    sys.exit(code)


def _run() -> int:
    try:
        code = _command()
        sys.stdout.flush()
    except BrokenPipeError:
        code = 1  # whoever read our output has left
    except OSError as e:
        if e.filename is not None:
            raise
        sys.stderr.write(f"mlxk: cannot write the answer: {(e.strerror or str(e)).lower()}\n")
        code = 1
    else:
        return code
    # The interpreter's last flush must not complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _command() -> int:
    if sys.argv[1:] == ["--version"] and "MLXK_JSON" not in os.environ:
        print(f"mlxk {__version__}")
        return 0
    from mlxk.cli.invoke import complete, run
    from mlxk.cli.options import take_options

    if "_MLXK_COMPLETE" in os.environ:
        complete()
    options, argv = take_options(sys.argv[1:], os.environ)
    return run(argv, options)


def _open_streams() -> None:
    """A closed stream is /dev/null; what the terminal's encoding cannot show is replaced."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8"))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _interrupted(e: KeyboardInterrupt) -> int:
    """A signal before the command had begun: nothing was done, and no module may be there yet."""
    number = signal.SIGTERM if isinstance(e, Terminated) else signal.SIGINT
    last_words(number)
    return 128 + number


def last_words(number: signal.Signals) -> None:
    """The whole answer of a command that was cut off before it could give one."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    text = "terminated" if number == signal.SIGTERM else "interrupted"
    if {"--json", "--events"} & set(sys.argv) or "MLXK_JSON" in os.environ:
        import json

        error = {"type": "interrupted", "message": text, "hint": None, "retryable": True}
        command = words[0] if words else ""
        envelope: dict[str, object] = {"status": "error", "command": command, "data": None}
        envelope |= {"error": {**error, "details": None}, "warnings": []}
        os.write(1, json.dumps(envelope).encode() + b"\n")
    else:
        os.write(2, f"mlxk: {text}\n".encode())


def _terminate(signum: int, frame: object) -> None:
    with suppress(ValueError):
        signal.signal(signum, signal.SIG_DFL)
    raise Terminated
