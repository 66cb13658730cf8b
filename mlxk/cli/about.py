"""Commands about mlxk itself: version, schema, doctor, completion, help."""

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mlxk import __version__
from mlxk.cli.registry import COMMANDS, command
from mlxk.contract import registry
from mlxk.contract.errors import InvalidValue, NotFound
from mlxk.system import hardware
from mlxk.system.packages import installed_version

SPEC_VERSION = "1.0"
_PACKAGES = ("mlx", "mlx_lm", "transformers", "huggingface_hub", "aiohttp", "dulwich", "typer")


@dataclass(frozen=True, slots=True)
class Version:
    cli_version: str
    json_api_spec_version: str
    python: str
    platform: str
    system: hardware.System
    packages: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Schema:
    """`schema` and `example` are null when names were asked for."""

    names: tuple[str, ...]
    name: str | None
    schema: dict[str, Any] | None
    example: tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class Completion:
    shell: str
    script: str
    installed_to: str | None


@dataclass(frozen=True, slots=True)
class Help:
    topic: str
    text: str


def _version_text(value: Version, _: dict[str, Any]) -> str:
    return f"mlxk {value.cli_version}"


@command("version", _version_text)
def version() -> Version:
    """Show the version; with --json also Python, platform, memory, backend and packages.

    mlxk --version

    mlxk version --json | jq .data.system.backend
    """
    return Version(
        cli_version=__version__,
        json_api_spec_version=SPEC_VERSION,
        python=platform.python_version(),
        platform=f"{sys.platform}-{platform.machine()}",
        system=hardware.system(),
        packages={name: installed_version(name) for name in _PACKAGES},
    )


def _schema_text(value: Schema, _: dict[str, Any]) -> str:
    from mlxk.contract.encoding import dumps

    if value.example is not None:
        return "\n".join(dumps(line).decode() for line in value.example)
    if value.schema is not None:
        return dumps(value.schema, indent=True).decode()
    return "\n".join(value.names)


@command("schema", _schema_text)
def schema(
    name: Annotated[str | None, typer.Argument(help="A command or shared part.")] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Show example output instead of the schema.")
    ] = False,
) -> Schema:
    """Print the published JSON schema of a command, or an example of its output.

    mlxk schema

    mlxk schema list > list.schema.json

    mlxk schema agent --example
    """
    if name is None:
        return Schema(registry.names(), None, None, None)
    known = name.replace(" ", "-")
    if known not in registry.names():
        raise NotFound(f"no schema is called {name!r}", hint="mlxk schema", name=name)
    if not example:
        return Schema((), known, registry.bundle(known), None)
    if not (lines := registry.example(known)):
        raise NotFound(f"{name!r} is a part, not a command: it has no example", hint="mlxk schema")
    return Schema((), known, None, tuple(lines))


def _help_text(value: Help, _: dict[str, Any]) -> str:
    return value.text.rstrip()


@command("help", _help_text)
def help_(
    words: Annotated[list[str] | None, typer.Argument(help="A command.")] = None,
    text: Annotated[str, typer.Option(hidden=True)] = "",
) -> Help:
    """Show help for a command: `mlxk help list` is `mlxk list --help`.

    mlxk help branch land
    """
    topic = " ".join(words or ())
    if text:
        return Help(topic, text)
    from contextlib import redirect_stdout
    from io import StringIO

    from mlxk.cli.registry import app

    if topic and not any(path == topic or path.startswith(f"{topic} ") for path in COMMANDS):
        raise InvalidValue(f"no command is called {topic!r}", hint="mlxk --help")
    printed = StringIO()
    with redirect_stdout(printed):
        app([*topic.split(), "--help"], prog_name="mlxk", standalone_mode=False)
    return Help(topic, printed.getvalue())


def _completion_text(value: Completion, _: dict[str, Any]) -> str:
    if value.installed_to:
        return f"Installed {value.shell} completion in {value.installed_to}; open a new shell."
    return value.script


@command("completion", _completion_text)
def completion(
    shell: Annotated[str | None, typer.Argument(help="bash, zsh or fish; default: $SHELL.")] = None,
    install: Annotated[bool, typer.Option("--install", help="Write it where it is read.")] = False,
) -> Completion:
    """Print or install shell completion.

    mlxk completion bash >> ~/.bashrc

    mlxk completion --install
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    name = shell or Path(os.environ.get("SHELL", "bash")).name
    if name not in {"bash", "zsh", "fish"}:
        raise InvalidValue(f"no completion for {name!r}", hint="mlxk completion bash", shell=name)
    script = get_completion_script(prog_name="mlxk", complete_var="_MLXK_COMPLETE", shell=name)
    return Completion(name, script, _install(name, script) if install else None)


def _install(shell: str, script: str) -> str:
    """Write the script into the user's own completion folder; a shell's start-up file is theirs."""
    from mlxk.system.files import write_atomic
    from mlxk.system.paths import named

    folders = {
        "bash": ".local/share/bash-completion/completions/mlxk",
        "zsh": ".zfunc/_mlxk",
        "fish": ".config/fish/completions/mlxk.fish",
    }
    path = named("~") / folders[shell]
    write_atomic(path, script.encode() + b"\n")
    return str(path)
