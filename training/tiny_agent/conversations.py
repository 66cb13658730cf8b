"""Whole conversations: system text, tools, requests, calls, results, closing sentences."""

from dataclasses import dataclass, field
from typing import Any

from training.tiny_agent import sentences
from training.tiny_agent.compose import KINDS, dressed, path_of, several, single
from training.tiny_agent.phrasings.following import follow
from training.tiny_agent.phrasings.talking import off_topic, small_talk, vague
from training.tiny_agent.play import play
from training.tiny_agent.requests import Request
from training.tiny_agent.source import Source
from training.tiny_agent.tools import AGENT_PROMPT, BY_NAME, TOOLS, Argument, Call, Tool
from training.tiny_agent.values import code, command, lines, sentence
from training.tiny_agent.workspace import Workspace

TALK = ("talk", "refuse", "vague")
LABELS = (*KINDS, "two", "three", "follow", *TALK, "no_tools")
_OTHER_PROMPTS = (
    "You are a helpful assistant.",
    "You are a coding agent.",
    "Be brief.",
    "You can use tools. Answer briefly.",
    "You are a helpful coding assistant working in a git repository.",
    "Use the tools.",
)


@dataclass(frozen=True, slots=True)
class Conversation:
    messages: tuple[dict[str, Any], ...]
    tools: tuple[Tool, ...]
    label: str


@dataclass(slots=True)
class _Draft:
    source: Source
    workspace: Workspace
    tools: tuple[Tool, ...]
    messages: list[dict[str, Any]] = field(default_factory=list)
    path: str | None = None

    def say(self, role: str, text: str) -> None:
        self.messages.append({"role": role, "content": text})

    def call(self, call: Call, result: str) -> None:
        function = {"name": call.name, "arguments": call.arguments}
        calls = [{"type": "function", "function": function}]
        self.messages.append({"role": "assistant", "content": "", "tool_calls": calls})
        self.say("tool", result)


def converse(source: Source, label: str | None = None) -> Conversation:
    """One conversation; with a label its last turn is of that kind and every tool is there."""
    long = source.expansive = source.chance(0.2)
    source.recent = []
    tools = _toolset(source, label)
    draft = _Draft(source, Workspace(source), tools)
    if system := _system(source, tools, long):
        draft.say("system", system)
    turns = (
        source.between(3, 9)
        if long and source.chance(0.5)
        else source.pick((1, 1, 1, 1, 1, 2, 2, 3))
    )
    while label == "follow" and draft.path is None:
        _turn(draft, "write")
    said = ""
    for i in range(1 if label else turns):
        said = _turn(draft, label if i == 0 else None)
    return Conversation(tuple(draft.messages), tools, label or said)


def _turn(draft: _Draft, label: str | None) -> str:
    source = draft.source
    label = label or _any_label(draft)
    if label == "no_tools":
        label = source.pick(("talk", "refuse", *KINDS))
    if label == "talk":
        text, answer = small_talk(source)
    elif label == "refuse":
        text, answer = off_topic(source), sentences.REFUSAL if draft.tools else sentences.NO_TOOLS
        if source.chance(0.25):
            text = dressed(source, Request(text, ())).text
    elif label == "vague":
        text, answer = vague(source)
        text = dressed(source, Request(text, ())).text
    else:
        _work(draft, label)
        return label
    draft.say("user", text)
    draft.say("assistant", answer if draft.tools or label != "vague" else sentences.NO_TOOLS)
    return label


def _any_label(draft: _Draft) -> str:
    source, dice = draft.source, draft.source.random.random()
    if draft.path and dice < 0.4:
        return "follow"
    if dice < 0.46:
        return "talk"
    if dice < 0.57:
        return "refuse"
    if dice < 0.6:
        return "vague"
    if dice < 0.72:
        return "two"
    if dice < 0.8:
        return "three"
    return source.random.choices(tuple(KINDS), weights=[weight for _, weight in KINDS.values()])[0]


def _work(draft: _Draft, label: str) -> None:
    source = draft.source
    if label == "follow":
        request = dressed(source, follow(source, draft.path or ""))
    else:
        request = (
            several(source, 2 if label == "two" else 3)
            if label in ("two", "three")
            else single(source, label)
        )
    draft.say("user", request.text)
    draft.path = None
    available = {tool.name for tool in draft.tools}
    if not all(goal.tools <= available for goal in request.goals):
        draft.say("assistant", sentences.MISSING_TOOL if draft.tools else sentences.NO_TOOLS)
        return
    closing = ""
    for goal in request.goals:
        outcome = play(goal, draft.workspace)
        for call, result in outcome.steps:
            draft.call(call, result)
        closing = outcome.closing
        if not outcome.reached:
            break
    else:
        draft.path = path_of(request)
    draft.say("assistant", closing)


def _toolset(source: Source, label: str | None) -> tuple[Tool, ...]:
    if label == "no_tools":
        return ()
    dice = source.random.random()
    if label is not None or dice < 0.75:
        return TOOLS
    if dice < 0.82:
        return ()
    if dice < 0.94:
        chosen = source.random.sample(TOOLS, source.between(1, 6))
        return tuple(sorted(chosen, key=TOOLS.index)) if source.chance(0.6) else tuple(chosen)
    return (*TOOLS, *(_foreign_tool(source) for _ in range(source.between(1, 2))))


def _foreign_tool(source: Source) -> Tool:
    arguments = {source.word(): source.chance(0.4) for _ in range(source.between(0, 3))}
    name = source.pick((source.word().capitalize(), f"{source.word()}_{source.word()}"))
    name = f"{name}Tool" if name in BY_NAME else name
    return Tool(name, tuple(Argument(n, optional=o) for n, o in arguments.items()))


def _system(source: Source, tools: tuple[Tool, ...], long: bool) -> str:
    dice = source.random.random()
    if not tools:
        return AGENT_PROMPT if dice < 0.1 else source.pick(_OTHER_PROMPTS) if dice < 0.3 else ""
    if dice < 0.62:
        extra = (long and source.chance(0.7)) or source.chance(0.07)
        return (
            f"{AGENT_PROMPT}\n\n{_instructions(source, 3000 if long else 300)}"
            if extra
            else AGENT_PROMPT
        )
    if dice < 0.72:
        return source.pick(_OTHER_PROMPTS)
    if dice < 0.85:
        return source.pick((" ", "\n", "\n- ")).join(
            sentence(source) for _ in range(source.between(1, 4))
        )
    return ""


def _instructions(source: Source, size: int) -> str:
    """Reads like an AGENTS.md: headings, rules, commands; none of it is a request."""
    parts, length = [f"# {sentence(source)}"], 0
    while length < size * source.random.random():
        part = source.pick(
            (
                lambda: f"## {sentence(source)}",
                lambda: lines(source),
                lambda: sentence(source),
                lambda: f"- {sentence(source)}\n- {sentence(source)}",
                lambda: f"```\n{code(source)}\n```",
                lambda: f"Run `{command(source)}` before you {source.word()}.",
                lambda: f"- `{source.file_name()}`: {sentence(source)}",
                lambda: f"Never edit {source.file_name()}.",
                lambda: f"Use {source.word()} for {source.folder()}/.",
            )
        )()
        parts.append(part)
        length += len(part) + 2
    return source.pick(("\n", "\n\n")).join(parts)
