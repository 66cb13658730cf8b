"""What a run would begin with: its first request and how large it is. Starts and writes nothing."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlxk.agent import compose, lsp, skills, subagent, transcript
from mlxk.agent.compose import Start
from mlxk.agent.prompt import INSTRUCTIONS, instructions_in, system_prompt
from mlxk.agent.settings import Settings
from mlxk.agent.sizes import size_in_bytes
from mlxk.chat.types import Message, Request, Text, Tool
from mlxk.contract.notes import note
from mlxk.history import contents
from mlxk.history.store import Store


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """`messages` as a session keeps them; `prompt_tokens` is None when the API counts."""

    dry_run: bool
    model: str
    api: str
    resumed: str | None
    messages: tuple[dict[str, Any], ...]
    tools: tuple[Tool, ...]
    prompt_tokens: int | None
    prompt_bytes: int


def rehearse(store: Store, start: Start, prompt: str, *, clean: bool) -> Rehearsal:
    settings, place = start.settings, start.place
    past = transcript.from_lines(place.lines()) if place else ()
    opening = request(store, start, prompt, clean=clean)
    system, asked = opening.messages
    messages = (system, *past, *transcript.repaired(past), asked)
    if settings.mcp:
        names = ", ".join(server.name for server in settings.mcp)
        note("not_started", f"the tools of these MCP servers are not shown: {names}")
    first = replace(opening, messages=messages)
    return Rehearsal(
        True,
        settings.model,
        settings.api,
        place.record.id if place else None,
        tuple(map(transcript.plain, messages)),
        first.tools,
        compose.prompt_tokens(settings, first),
        size_in_bytes(first),
    )


def request(store: Store, start: Start, prompt: str, *, clean: bool) -> Request:
    """What the model is asked first, without what the session holds already."""
    settings = start.settings
    system = system_prompt(settings.system, _instructions(store, start, clean=clean))
    messages = Message("system", (Text(system),)), Message("user", (Text(prompt),))
    tools = offered(settings, store.root or store.common, store.home)
    return Request(settings.model, messages, tools)


def script(value: Rehearsal) -> str:
    """For people to read."""
    parts = [f"[{message['role']}]\n{_words(message)}" for message in value.messages]
    parts.append("[tools]\n" + "\n".join(f"{t.name}: {t.description}" for t in value.tools))
    tokens = "" if value.prompt_tokens is None else f"{value.prompt_tokens} tokens, "
    parts.append(f"{value.model}: {tokens}{value.prompt_bytes} bytes with the tools' schemas")
    return "\n\n".join(parts)


def _words(message: dict[str, Any]) -> str:
    shown = (part.get("text") or part.get("arguments") or "" for part in message["parts"])
    return "\n".join(shown)


def offered(settings: Settings, folder: Path, home: Path) -> tuple[Tool, ...]:
    """As a job in `folder` offers them, but for what a server would have to be started for."""
    known = skills.tools(tuple(map(Path, settings.skills)), folder, home)
    tools = [tool.spec for tool in (*settings.toolbox(), *known)]
    if lsp.NAME in settings.tools:
        tools.append(lsp.SPEC)
    if subagent.NAME in settings.tools:
        tools.append(subagent.spec(settings.helpers))
    return tuple(tools)


def _instructions(store: Store, start: Start, *, clean: bool) -> str:
    """AGENTS.md as it will be in the worktree."""
    if start.place is None and not clean and store.root is not None:
        return instructions_in(store.root)
    code = start.place.code if start.place else store.head()
    found = contents.at(store, code, INSTRUCTIONS) if code else None
    return "" if found is None or found.is_link else found.data.decode(errors="replace")
