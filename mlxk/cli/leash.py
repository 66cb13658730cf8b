"""`mlxk agent --leash NAME`: the recipe, the program, and a server for it."""

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from mlxk.agent.leash.claude import CLAUDE
from mlxk.agent.leash.codex import CODEX
from mlxk.agent.leash.gemini import GEMINI
from mlxk.agent.leash.recipe import MODEL, Leash, Server, program_of
from mlxk.chat.model import ChatModel
from mlxk.contract.errors import InvalidValue, UsageError

# Settings of our own agent: it has tools and a prompt of its own.
_OURS = ("tools", "system", "skills", "mcp", "lsp")
RECIPES = {recipe.name: recipe for recipe in (CLAUDE, CODEX, GEMINI)}


def leash(name: str | None, given: Mapping[str, Any], unfit: Mapping[str, object]) -> Leash | None:
    """None for our own agent. `unfit` are flags, with their values, that bind only that one.

    InvalidValue, HarnessMissing, or UsageError for what the program would not obey.
    """
    if name in (None, "none"):
        return None
    if name not in RECIPES:
        known = ", ".join((*RECIPES, "none"))
        raise InvalidValue(f"no program {name!r} to put on a leash", hint=f"one of {known}")
    rules = given.get("permissions")
    ruled = rules and (rules.mode not in (None, "workspace", "all") or rules.allow or rules.deny)
    settings = {f"--{key}": given.get(key) for key in _OURS}
    for flag, value in {**unfit, **settings, "--permissions": ruled}.items():
        if value:
            hint = "leave it out, or work without --leash"
            raise UsageError(f"{flag} does not bind {name}", hint=hint)
    recipe = RECIPES[name]
    return Leash(recipe, program_of(recipe), served)


@asynccontextmanager
async def served(model: ChatModel) -> AsyncGenerator[Server, None]:
    """On the loopback, under whatever name it is asked for, to who has the key."""
    from mlxk.server.app import listening, make_app
    from mlxk.server.state import ServerOptions

    token = secrets.token_urlsafe(24)
    options = ServerOptions(api_key=token, aliases={"*": MODEL}, metrics=False)
    async with listening(make_app({MODEL: model}, options), 0) as address:
        yield Server(address.url, token)
