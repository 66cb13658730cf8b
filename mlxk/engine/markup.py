"""Which marks a model puts around its thoughts and its tool calls, seen in its template."""

from dataclasses import dataclass

from mlxk.chat.types import Request
from mlxk.engine.answer import Markup
from mlxk.engine.prompt import offered
from mlxk.engine.tokenizer import TextModel
from mlxk.engine.toolcalls.dialects import choose


@dataclass(frozen=True, slots=True)
class Speech:
    """How a family marks thoughts and visible text. `clues` are in its template, or are tokens of
    its vocabulary: all of them."""

    clues: tuple[str, ...]
    think: tuple[str, str]
    noise: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()


HARMONY = Speech(
    ("<|channel|>", "<|message|>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
    ("<|start|>assistant", "<|channel|>final<|message|>", "<|channel|>commentary<|message|>"),
    ("<|end|>",),
)
XTML = Speech(
    ("<|open|>", "<|close|>", "<|sep|>"),
    ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    ("<|open|>response<|sep|>", "<|close|>message<|sep|>"),
    ("<|close|>response<|sep|>", "<|close|>message<|sep|>"),
)
THINK = Speech(("<think>",), ("<think>", "</think>"))
SPEECHES = (
    HARMONY,
    XTML,
    Speech(("<|channel>", "<channel|>"), ("<|channel>thought", "<channel|>")),
    Speech(
        ("to=self<|message|>",),
        ("to=self<|message|>", "<|eom|>"),
        ("<|start|>assistant", "to=user<|message|>", "to=commentary<|message|>"),
        ("<|eom|>", "<|eot|>"),
    ),
    THINK,
    Speech(("[THINK]",), ("[THINK]", "[/THINK]")),
    Speech(("<seed:think>",), ("<seed:think>", "</seed:think>")),
    Speech(("<longcat_think>",), ("<longcat_think>", "</longcat_think>")),
    Speech(("<|think:start|>",), ("<|think:start|>", "<|think:end|>")),
)

# Marks between the marks of a call.
_INNER = ("[ARGS]", "[CALL_ID]", "<|constrain|>", "<|message|>", '<|"|>', "<escape>")


def markup(text: TextModel, request: Request) -> Markup:
    """Calls are looked for only where tools were offered: elsewhere the marks are plain text."""
    source = text.template.source if text.template else ""
    speech = next((each for each in SPEECHES if _knows(text, source, each)), None)
    dialect = choose(source, text.has_token, text.parser) if offered(request) else None
    is_forced = request.tool_choice.mode in ("required", "named")
    only_calls = is_forced and dialect is not None and dialect.frame is not None
    if speech is None:
        return Markup(None, dialect, only_calls=only_calls)
    return Markup(speech.think, dialect, speech.noise, speech.ends, only_calls)


def is_thinking(marks: Markup, prompt: str) -> bool:
    """Some templates end the prompt inside a thought."""
    return marks.think is not None and prompt.rstrip().endswith(marks.think[0])


def hidden(text: TextModel, marks: Markup) -> tuple[int, ...]:
    """Special tokens that are no mark of ours, and so are not part of the text."""
    wanted = [*(marks.think or ()), *marks.noise, *marks.ends]
    if (dialect := marks.dialect) is not None:
        # Inside of a call its reader needs to see marks that are nowhere else.
        wanted += [dialect.start, dialect.end]
        wanted += [name for name in text.special.values() if "tool" in name or name in _INNER]
    return tuple(i for i, name in text.special.items() if not any(name in mark for mark in wanted))


def _knows(text: TextModel, source: str, speech: Speech) -> bool:
    in_template = all(clue in source for clue in speech.clues)
    return in_template or all(text.has_token(clue) for clue in speech.clues)
