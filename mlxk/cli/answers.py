"""Answers to permission questions: typed on the terminal, or lines of JSON on standard input."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument
from mlxk.system.lines import Lines
from mlxk.system.terminal import plain

if TYPE_CHECKING:
    from mlxk.agent.events import PermissionAsked
    from mlxk.agent.permissions import Answer


@asynccontextmanager
async def answers(source: str | None) -> AsyncGenerator["Answer | None", None]:
    """`terminal`, `jsonl`, or None: nobody answers. End of input refuses whatever is asked."""
    if source is None or sys.stdin is None:
        yield None
        return
    lines = Lines()
    judge = _typed if source == "terminal" else _line

    async def answer(asked: "PermissionAsked") -> bool:
        while True:
            if source == "terminal":
                sys.stderr.write(plain(f"{asked.name} {asked.about}\nallow? [y/N] "))
                sys.stderr.flush()
            line = await lines.next()
            if not line:
                return False
            if (verdict := judge(line, asked)) is not None:
                return verdict

    yield answer


def _typed(line: str, _: "PermissionAsked") -> bool:
    return line.strip().casefold() in ("y", "yes")


def _line(line: str, asked: "PermissionAsked") -> bool | None:
    """`{"type": "permission", "id": "call_1", "allow": true}`; other lines are passed over."""
    try:
        value = encoding.loads(line)
    except InvalidDocument:
        return None
    if not isinstance(value, dict) or value.get("id") != asked.id:
        return None
    return value.get("allow") is True
