"""What is needed to start another program as the agent, and to understand its end."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlxk.chat.model import ChatModel
from mlxk.contract import encoding
from mlxk.contract.errors import HarnessMissing, InvalidDocument

# An unknown name makes these programs send the least.
MODEL = "mlxk"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model is served in every wire format: the root of its URLs, and its key."""

    url: str
    token: str


@dataclass(frozen=True, slots=True)
class Setup:
    """`folder` is all the program has for a home.

    `context` is the model's limit in tokens. `goes_on`: there is a conversation in `folder`.
    """

    folder: Path
    server: Server
    context: int | None
    goes_on: bool


@dataclass(frozen=True, slots=True)
class Launch:
    """Arguments after the program's name. The prompt is read from standard input."""

    argv: Sequence[str]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Recipe:
    """`prompt_tokens`: about what the program says before the user does.

    `failure` reads from its output what went wrong, if it says so.
    """

    name: str
    install: str
    prompt_tokens: int
    launch: Callable[[Setup], Launch]
    failure: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Leash:
    """A program that was found, and how a model is served to it."""

    recipe: Recipe
    program: Path
    serve: Callable[[ChatModel], AbstractAsyncContextManager[Server]]


def program_of(recipe: Recipe) -> Path:
    """Where it is installed. HarnessMissing says how to install it."""
    if found := shutil.which(recipe.name):
        return Path(found)
    raise HarnessMissing(f"{recipe.name} is not installed here", hint=recipe.install)


def objects(output: str) -> Iterator[dict[str, Any]]:
    """The lines of a program's output that are JSON objects."""
    for line in output.splitlines():
        if line.startswith("{"):
            try:
                value = encoding.loads(line, "a line")
            except InvalidDocument:
                continue
            if isinstance(value, dict):
                yield value
