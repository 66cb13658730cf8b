"""The process: argv in, an exit code out. Light, so that `mlxk --version` costs almost nothing."""

import os
import signal
import sys
from contextlib import suppress

from mlxk import __version__


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command like Ctrl-C but with its own exit code."""


def main() -> None:
    signal.signal(signal.SIGTERM, _terminate)
    if sys.argv[1:] == ["--version"] and "MLXK_JSON" not in os.environ:
        print(f"mlxk {__version__}")
        return
    from mlxk.cli.invoke import complete, run
    from mlxk.cli.options import take_options

    if "_MLXK_COMPLETE" in os.environ:
        complete()
    options, argv = take_options(sys.argv[1:], os.environ)
    try:
        code = run(argv, options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


def _terminate(signum: int, frame: object) -> None:
    with suppress(ValueError):
        signal.signal(signum, signal.SIG_DFL)
    raise Terminated
