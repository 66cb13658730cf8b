"""Desks whose every model says what it was told to say."""

from contextlib import asynccontextmanager

from mlxk.agent.compose import Model
from mlxk.agent.desk import Desk
from mlxk.agent.settings import Settings
from mlxk.chat.scripted import Scripted


def scripted(repo, home, *turns, settings=None, **options):
    """`turns` as of `Scripted`, or one of those."""
    model = turns[0] if isinstance(turns[0], Scripted) else Scripted(*turns)

    @asynccontextmanager
    async def opener(_):
        yield Model(model)

    wanted = settings or Settings("script")
    return Desk(repo, wanted, opener=opener, home=home / ".mlxk", **options)
