"""From the words of `mlxk agent` to settings, bounds and an order."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

from mlxk.agent import skills
from mlxk.agent.config import Config, load
from mlxk.agent.job import Bounds, Order
from mlxk.agent.permissions import MODES, Added, Mode, Permissions, rule
from mlxk.agent.settings import tool_names
from mlxk.cli import words
from mlxk.cli.question import read_schema
from mlxk.contract import encoding
from mlxk.contract.errors import InvalidValue, UsageError
from mlxk.system import paths


def config(name: str | None) -> Config:
    return Config() if name is None else load(name, (Path("agents"), paths.home() / "agents"))


def settings(base: Config, **typed: Any) -> dict[str, Any]:
    """What was typed, over what the file says; the rest is the session's or a default."""
    named = _named(typed)
    if "url" in named:
        named.setdefault("api", "openai")
    if "tools" in named:
        named["tools"] = tool_names(named["tools"])
    if "skills" in named:
        named["skills"] = tuple(
            str(skills.at(folder.absolute()).folder) for folder in named["skills"]
        )
    return {**base.given, **named}


def rules(
    base: Config, mode: str | None, allow: Sequence[str], deny: Sequence[str]
) -> Permissions | Added | None:
    """To be added to what the file says, else to what the session has; None adds nothing."""
    known: dict[str, Mode] = {name: name for name in MODES}
    if mode is not None and mode not in known:
        raise InvalidValue(f"no permission mode {mode!r}", hint=f"one of {', '.join(MODES)}")
    if mode is None and not allow and not deny:
        return None
    added = Added(known[mode] if mode else None, tuple(map(rule, allow)), tuple(map(rule, deny)))
    written: Permissions | None = base.given.get("permissions")
    return added.to(written) if written else added


def bounds(base: Config, tool_timeout: float | None, **budgets: float | None) -> Bounds:
    calls = replace(base.limits, **_named({"timeout_s": tool_timeout}))
    return Bounds(replace(base.budgets, **_named(budgets)), calls)


def order(prompt: str, check: str | None, schema: Path | None) -> Order:
    return Order(prompt, check, read_schema(schema) if schema else None)


def input_format(name: str | None) -> str | None:
    if name not in (None, "jsonl"):
        raise InvalidValue(f"no input format {name!r}", hint="--input-format jsonl")
    return name


def prompt(first: str | None, more: Sequence[str], *, is_stdin_taken: bool = False) -> str:
    """The words to work on. Standard input is read when there is no prompt, or for `-`."""
    if unexpected := [extra for extra in more if extra != "-"]:
        raise UsageError(f"unexpected argument {unexpected[0]!r}", hint='quote the prompt: "…"')
    parts = [] if first in (None, "-") else [first or ""]
    if first in (None, "-") or more:
        if words.is_terminal() or is_stdin_taken:
            raise UsageError("nothing to do: give a prompt", hint='mlxk agent "…"')
        parts.append(words.standard_input())
    text = "\n\n".join(part.strip("\n") for part in parts if part.strip())
    if not text.strip():
        raise UsageError("the prompt is empty", hint='mlxk agent "…"')
    return encoding.valid(text)


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    """Only what was typed."""
    for name, value in values.items():
        if isinstance(value, float) and not isfinite(value):
            raise InvalidValue(f"{name} is not a number: {value}")
    return {name: value for name, value in values.items() if value is not None}
