"""The chat template in Python, split into what the model learns to say and what it only reads.

A test holds it equal to chat_template.jinja.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.tiny_agent.closings import CUT
from training.tiny_agent.tools import Tool

START, END, SEPARATOR = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
SPECIAL = (SEPARATOR, START, END)
MARKS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
TEMPLATE = Path(__file__).with_name("chat_template.jinja")
SYSTEM_LIMIT, RESULT_LIMIT = 1500, 2000
OLD_TEXT_LIMIT, OLD_RESULT_LIMIT, TURNS = 300, 120, 5

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    learned: bool = False


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + CUT


def cut_result(text: str) -> str:
    return cut(text, RESULT_LIMIT)


def render(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Piece]:
    users = [i for i, message in enumerate(messages) if message["role"] == "user"]
    current = users[-1] if users else 0
    first = users[-TURNS] if len(users) > TURNS else 0
    pieces = _head(messages, tools)
    bodies = [
        (i, _body(message, old=i < current)) for i, message in enumerate(messages) if i >= first
    ]
    # a turn that stands here in a cut form did not look like this when its answer was due
    intact = first == 0 and all(
        body == _body(messages[i], old=False) for i, body in bodies if i < current
    )
    for i, body in bodies:
        if messages[i]["role"] == "assistant":
            pieces += [
                Piece(f"{START}assistant\n"),
                Piece(body + END, learned=intact or i > current),
                Piece("\n"),
            ]
        elif messages[i]["role"] in ("user", "tool"):
            pieces.append(Piece(f"{START}user\n{body}{END}\n"))
    return pieces


def text_of(pieces: Iterable[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def _head(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Piece]:
    system = cut("\n\n".join(m["content"] for m in messages if m["role"] == "system"), SYSTEM_LIMIT)
    if not system and not tools:
        return []
    listing = "\n".join(["# Tools", *map(_signature, tools)]) if tools else ""
    gap = "\n\n" if system and tools else ""
    return [Piece(f"{START}system\n{system}{gap}{listing}{END}\n")]


def _signature(tool: Tool) -> str:
    return f"{tool.name}({', '.join(a.name + ('?' if a.optional else '') for a in tool.arguments)})"


def _body(message: Message, *, old: bool) -> str:
    text = message["content"]
    if message["role"] == "tool":
        result = cut(text, OLD_RESULT_LIMIT if old else RESULT_LIMIT)
        return f"<tool_response>\n{result}\n</tool_response>"
    calls = message.get("tool_calls", ())
    return cut(text, OLD_TEXT_LIMIT if old else 6000) + "".join(
        _call(call["function"], old) for call in calls
    )


def _call(function: Mapping[str, Any], old: bool) -> str:
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    text = f'{{"name": "{function["name"]}", "arguments": {arguments}}}'
    return f"<tool_call>\n{cut(text, OLD_TEXT_LIMIT if old else 9000)}\n</tool_call>"
